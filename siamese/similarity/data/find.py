"""Finds the items of a data source by its form."""

from __future__ import annotations

from pathlib import Path

from siamese.errors import SiameseError
from siamese.params import ItemsParams
from siamese.similarity.data.arrays import find_in_npy, find_in_ts
from siamese.similarity.data.folders import find_in_folder
from siamese.similarity.data.items import Found
from siamese.similarity.data.tables import find_in_csv


def find_items(path: Path, params: ItemsParams) -> Found:
    """Finds the items in a folder or file.

    Raises:
        SiameseError: There is no such data, it is in none of the known forms, or nothing in it can be used.
    """
    if path.is_dir():
        found = find_in_folder(path, params)
    elif not path.exists():
        raise SiameseError("there is no such file or folder", where=str(path), fix="check the path")
    else:
        match path.suffix.lower():
            case ".csv":
                found = find_in_csv(path, params)
            case ".npy" | ".npz":
                found = find_in_npy(path, params)
            case ".ts":
                found = find_in_ts(path, params)
            case _:
                fix = "give a folder with one subfolder a class, a .csv, .npy, .npz or .ts file"
                raise SiameseError("is of no known form", where=str(path), fix=fix)
    if params.kind not in ("auto", found.kind):
        what = f"holds items of kind {found.kind}, not {params.kind}"
        raise SiameseError(what, where=str(path), fix="give items of that kind, or set items.kind=auto")
    found.check(str(path))
    return found
