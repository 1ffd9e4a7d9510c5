"""Names for the arrays that drawing passes about; OpenCV's stubs carry no element type, so the names say it."""

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
"""float64 values; places as (..., 2), x before y."""
