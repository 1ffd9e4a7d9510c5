"""Maps values of any type to the 8 bits that networks see, by one linear range for all bands.

``uint8`` stays as it is. For other types the first rule that applies gives the range:

1. ``value_range`` of the params;
2. TIFFTAG_MINSAMPLEVALUE and TIFFTAG_MAXSAMPLEVALUE of the file;
3. 0 to 255, if all integers of a wider type are within it (xBD's GeoTIFF edition holds 8-bit values in int16);
4. 0 to 255 steps, where the values are at most 256 evenly spaced levels: 8-bit imagery in another type, such as
   times 8 or 257, or divided by 255;
5. otherwise from 0 (or what stands for 0, where the file has an offset) so that the 99.9th percentile becomes 236,
   where it lies in 8-bit imagery (median of xBD's tiles), but no further than to the largest value; where more than
   2 % are negative, from the 2nd to the 98th percentile.

All bands share the range, so that colours are preserved. Rules 3 to 5 use a sample of the valid pixels, evenly over the
image, which does not depend on how the image is read afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

SAMPLE_PX: Final = 512
"""Side of the sample; if several images share a range, of all of them together."""
_TOP: Final = 255
_BRIGHT_PERCENT, _BRIGHT_LEVEL = 99.9, 236
_STRETCH_PERCENT: Final = (2.0, 98.0)
_LEAST_LEVELS: Final = 64
"""Fewer distinct values would fit many steps."""
_LEAST_STEP: Final = 4
"""For integers: smaller steps could result from rounding anything."""
_FLOAT_TOLERANCE: Final = 1e-2


@dataclass(frozen=True)
class ValueRange:
    """Linear map to 8 bits: ``low`` maps to 0 and ``high`` to 255; values beyond are clipped."""

    low: float = 0.0
    high: float = 255.0
    note: str = ""
    """The assumption that was made, as one phrase; empty without one."""

    def __call__(self, values: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
        """Converts finite ``(..., bands)`` values of any type to uint8."""
        if (self.low, self.high) == (0, _TOP):
            if values.dtype == np.uint8:
                return values  # type: ignore[return-value]
            if np.issubdtype(values.dtype, np.integer):
                return np.asarray(np.clip(values, 0, _TOP), np.uint8)
        scale = np.float32(_TOP / (self.high - self.low))
        scaled = (values.astype(np.float32) - np.float32(self.low)) * scale
        return np.asarray(np.clip(np.rint(scaled), 0, _TOP), np.uint8)


AS_IS: Final = ValueRange()
"""Range for values that are 8 bits already."""


@dataclass(frozen=True)
class ValueFacts:
    """Facts about an image's values that are known before any is read."""

    dtype: str
    declared: tuple[float, float] | None = None
    """Minimum and maximum value in the file's tags."""
    zero: float = 0.0
    """The stored value that stands for 0."""


def fixed_range(facts: ValueFacts, asked: tuple[float, float] | None) -> ValueRange | None:
    """Returns the range if no sample is needed to determine it, else None.

    Args:
        facts: Facts about the image.
        asked: The range in the params, if any.
    """
    if facts.dtype == "uint8":
        return AS_IS
    if asked is not None:
        return ValueRange(*asked, note=f"{facts.dtype} values {_span(*asked)} are read as 0 to 255 (value_range)")
    if facts.declared is not None:
        what = f"{facts.dtype} values {_span(*facts.declared)} are read as 0 to 255 (the file's MIN/MAXSAMPLEVALUE)"
        return ValueRange(*facts.declared, note=what)
    return None


def range_of(samples: Sequence[npt.NDArray[np.generic]], facts: ValueFacts) -> ValueRange:
    """Determines the range from samples of the data.

    Args:
        samples: ``(bands, n)`` finite values of valid pixels, for each image that shares the range.
        facts: Facts about the first of these images.
    """
    values = np.concatenate([np.ravel(sample) for sample in samples])
    if not values.size:
        return AS_IS
    integers = np.issubdtype(values.dtype, np.integer)
    least, most = float(values.min()), float(values.max())
    if integers and least >= 0 and most <= _TOP:
        return AS_IS
    low, high, why = _from_data(values, facts.zero, integers=bool(integers))
    note = f"{facts.dtype} values {_span(low, high)} are read as 0 to 255 ({why}); set value_range if that is wrong"
    return ValueRange(low, high, note)


def _from_data(values: npt.NDArray[Any], zero: float, *, integers: bool) -> tuple[float, float, str]:
    step = level_step(np.unique(values), integers=integers)
    if step is not None:
        return 0.0, _TOP * step, "8-bit levels in a wider type"
    lower, upper = map(float, np.percentile(values, _STRETCH_PERCENT))
    if lower < min(zero, 0.0):
        return lower, max(upper, np.nextafter(lower, np.inf)), "2nd to 98th percentile, as some are negative"
    bright = float(np.percentile(values, _BRIGHT_PERCENT))
    if bright <= zero:
        return zero, zero + 1, "no value is above 0"
    high = min(zero + (bright - zero) * _TOP / _BRIGHT_LEVEL, float(values.max()))
    return zero, high, "by the brightest 0.1 % of a sample"


def level_step(distinct: npt.NDArray[np.generic], *, integers: bool) -> float | None:
    """Returns the step between levels if values are 8-bit levels times a constant, else None.

    Args:
        distinct: Sorted distinct values.
        integers: Whether the values are rounded to whole numbers.
    """
    levels = distinct.astype(np.float64)
    if not _LEAST_LEVELS <= len(levels) <= _TOP + 1 or levels[0] < 0:
        return None
    for count in range(len(levels) - 1, _TOP + 1):
        step = levels[-1] / count
        if integers and step < _LEAST_STEP:
            return None
        off = np.abs(levels - np.rint(levels / step) * step).max()
        if off <= (1 if integers else _FLOAT_TOLERANCE * step):
            return float(step)
    return None


def _span(low: float, high: float) -> str:
    return f"{low:.6g} to {high:.6g}"
