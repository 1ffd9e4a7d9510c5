"""Names for the arrays that drawing functions exchange; OpenCV's stubs carry no element type, so the names state it."""

from __future__ import annotations

from typing import Any, TypeAlias

from numpy.typing import NDArray

Floats: TypeAlias = NDArray[Any]
"""float32 values."""

Bytes: TypeAlias = NDArray[Any]
"""uint8 values."""

Ints: TypeAlias = NDArray[Any]
"""int32 or int16 values."""

Points: TypeAlias = NDArray[Any]
"""float64 values; positions as (..., 2), x before y."""
