"""Folders of pages, and the page itself."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Final

from siamese.errors import SiameseError

PAGE_FILES: Final = ("index.html", "app.js", "app.css", "map-worker.js", "learn-worker.js")
"""The page itself, built from ``web/``."""
ABOUT_FILE: Final = "map.json"
"""What a page loads first; folders that maps are exported to hold a file of this name too, the map's manifest."""
DATA_FILES: Final = (ABOUT_FILE, "texts.json", "buildings.bin", "teach.bin", "pre.pmtiles", "post.pmtiles")
"""What a page shows of its map; some maps lack some of them."""
UNFINISHED: Final = ".page-"
"""Folders in which a page is written before it appears begin with this; a killed writer leaves one behind."""


def is_page(folder: Path) -> bool:
    """Returns whether a folder holds the page of a map."""
    try:
        about = json.loads((folder / ABOUT_FILE).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(about, dict) and {"format", "root", "classes"} <= about.keys()


def check_folder(folder: Path) -> None:
    """Refuses a folder that holds anything but a page.

    Raises:
        SiameseError: It does.
    """
    fix = "name a new or empty folder"
    if folder.exists() and not folder.is_dir():
        raise SiameseError("is no folder", where=str(folder), fix=fix)
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    others = sorted(name for name in names - {*PAGE_FILES, *DATA_FILES} if not name.startswith(UNFINISHED))
    if ABOUT_FILE in names and not is_page(folder):
        others.append(ABOUT_FILE)
    if others:
        raise SiameseError(f"holds other things than a page, e.g. {others[0]}", where=str(folder), fix=fix)


def fill(folder: Path, page: Path) -> None:
    """Moves a finished page into a folder, over an older page if there is one.

    Args:
        folder: An empty folder, or one that holds a page.
        page: The finished page, on the same disk.
    """
    (folder / ABOUT_FILE).unlink(missing_ok=True)
    for name in (*PAGE_FILES, *reversed(DATA_FILES)):
        if (page / name).exists():
            (page / name).replace(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)


def copy_page(folder: Path) -> None:
    """Copies the page itself to a folder of data."""
    for name in PAGE_FILES:
        (folder / name).write_bytes(page_file(name))


def page_file(name: str) -> bytes:
    """Returns a file of the page."""
    return resources.files("siamese.viewing").joinpath("page", name).read_bytes()
