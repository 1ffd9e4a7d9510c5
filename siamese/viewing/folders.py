"""Folders of pages, and the page itself."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Final

from siamese.errors import SiameseError

PAGE_FILES: Final = ("index.html", "app.js", "app.css", "map-worker.js", "learn-worker.js")
"""The page itself, built from ``web/``."""


def check_folder(folder: Path) -> None:
    """Refuses a folder that holds anything but a page.

    Raises:
        SiameseError: It does.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "map.json").is_file():
        raise SiameseError("holds other things than a page", where=str(folder), fix="name a new or empty folder")
    if folder.exists() and not folder.is_dir():
        raise SiameseError("is no folder", where=str(folder), fix="name a new or empty folder")


def copy_page(folder: Path) -> None:
    """Copies the page itself to a folder of data."""
    for name in PAGE_FILES:
        (folder / name).write_bytes(page_file(name))


def page_file(name: str) -> bytes:
    """Returns a file of the page."""
    return resources.files("siamese.viewing").joinpath("page", name).read_bytes()
