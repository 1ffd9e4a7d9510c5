"""Arrays in one file: what a browser reads as typed arrays, without parsing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

_TYPES: Final = {"uint8": "u8", "uint16": "u16", "uint32": "u32", "float32": "f32", "float64": "f64"}
_ALIGNED: Final = 8


def write_columns(path: Path, columns: Mapping[str, npt.NDArray[Any]]) -> dict[str, dict[str, Any]]:
    """Writes arrays one after another, little-endian, each aligned to eight bytes.

    Returns:
        Type, first byte and number of values of each array, for the page.
    """
    layout: dict[str, dict[str, Any]] = {}
    at = 0
    with path.open("wb") as file:
        for name, column in columns.items():
            flat = np.ascontiguousarray(column).reshape(-1)
            data = flat.astype(flat.dtype.newbyteorder("<"), copy=False).tobytes()
            layout[name] = {"type": _TYPES[flat.dtype.name], "offset": at, "length": len(flat)}
            file.write(data + bytes(-len(data) % _ALIGNED))
            at += len(data) + -len(data) % _ALIGNED
    return layout
