"""The font of pictures and reports: DejaVu, which matplotlib brings along, so that they look alike on every machine."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl


def font_file(*, bold: bool = False) -> Path:
    """Returns the TrueType file of the font."""
    return Path(mpl.get_data_path()) / "fonts" / "ttf" / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")
