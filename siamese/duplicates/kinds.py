"""Names what was done to an image to make its twin."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from siamese.duplicates.confirm import Match
from siamese.duplicates.fingerprint import Fingerprint

_WHOLE: Final = 0.97
"""Share of an image that counts as all of it."""
_SCALE: Final = 0.02
"""Relative difference in scale that counts as none."""
_ANGLE: Final = 2.0
"""Degrees that count as none."""
_COLOUR: Final = 2.5
"""Mean difference in colour, in grey values, that counts as none."""
_FLIPS: Final = {0: "flip left-right", 90: "transpose", 180: "flip top-bottom", 270: "transverse"}


def kinds_of_change(match: Match, one: Fingerprint, other: Fingerprint, *, same_file: bool) -> tuple[str, ...]:
    """Names the changes that lead from one image to the other.

    Args:
        match: How they match.
        one: The first image.
        other: The second image.
        same_file: Whether both are the very same bytes.

    Returns:
        At least one of: ``identical``, a flip, ``rotation N°`` (counter-clockwise), ``crop``, ``resize xN``,
        ``colour``, ``re-encoded`` (nothing but that).
    """
    if same_file:
        return ("identical",)
    linear = match.transform[:, :2]
    mirrored = np.linalg.det(linear) < 0
    turn = linear @ np.diag([-1.0, 1.0]) if mirrored else linear
    # Rows grow downwards, so a counter-clockwise turn as one sees it has a negative angle.
    angle = -math.degrees(math.atan2(turn[1, 0] - turn[0, 1], turn[0, 0] + turn[1, 1])) % 360
    quarter = round(angle / 90) * 90
    straight = abs(angle - quarter) <= _ANGLE
    found = []
    if mirrored:
        found.append(_FLIPS[quarter % 360] if straight else f"flip left-right, rotation {angle:.0f}°")
    elif not straight or quarter % 360:
        found.append(f"rotation {quarter % 360 if straight else round(angle)}°")
    if min(match.covers) < _WHOLE:
        found.append("crop")
    scale = math.sqrt(abs(float(np.linalg.det(linear))))
    if abs(scale - 1) > _SCALE:
        found.append(f"resize x{scale:.2g}")
    if match.colour > _COLOUR:
        found.append("colour")
    return tuple(found) or ("re-encoded",)
