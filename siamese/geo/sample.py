"""Samples an image's valid values, evenly over the image and independent of what is read later."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from rasterio.io import DatasetReader
from rasterio.windows import Window

from siamese.geo.layout import Layout
from siamese.geo.validity import Mask, Values
from siamese.geo.values import SAMPLE_PX


def sample_of_file(dataset: DatasetReader, layout: Layout, side_px: int = SAMPLE_PX) -> npt.NDArray[np.generic]:
    """Returns a ``(bands, n)`` sample of an open file, from its overviews if it has any."""
    shrink = max(1.0, max(dataset.width, dataset.height) / side_px)
    shape = max(1, int(dataset.height / shrink)), max(1, int(dataset.width / shrink))
    return _counted(*layout.read(dataset, shape=shape))


def sample_of_array(values: Values, valid: Mask | None, side_px: int = SAMPLE_PX) -> npt.NDArray[np.generic]:
    """Returns a ``(bands, n)`` sample of an image in memory, at a regular interval of rows and columns."""
    rows, cols = _steps(values.shape[0], values.shape[1], side_px)
    return _counted(values[rows, cols], None if valid is None else valid[rows, cols])


def sample_of_blocks(dataset: DatasetReader, layout: Layout, side_px: int = SAMPLE_PX) -> npt.NDArray[np.generic]:
    """Returns the same sample as :func:`sample_of_array` from an open file in blocks."""
    rows, cols = _steps(dataset.height, dataset.width, side_px)
    parts = []
    for row in range(dataset.height)[rows]:
        values, valid = layout.read(dataset, Window(0, row, dataset.width, 1))
        parts.append(_counted(values[:, cols], None if valid is None else valid[:, cols]))
    return np.concatenate(parts, axis=1)


def _steps(height: int, width: int, side_px: int) -> tuple[slice, slice]:
    step = max(1, -(-max(height, width) // side_px))
    row, col = (min(step, side) // 2 for side in (height, width))
    return slice(row, None, step), slice(col, None, step)


def _counted(values: Values, valid: Mask | None) -> npt.NDArray[np.generic]:
    shown = values.any(axis=2) if valid is None else values.any(axis=2) & valid
    return np.ascontiguousarray(values[shown].T)
