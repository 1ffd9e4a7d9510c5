"""Finds items in CSV tables: listed pairs, texts with classes, rows of numbers with classes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from siamese.errors import SiameseError
from siamese.params import ItemsParams
from siamese.similarity.data.folders import IMAGES
from siamese.similarity.data.items import Found, RawItem, RawPair
from siamese.similarity.data.names import shortened, stays_below
from siamese.tables import read_csv

if TYPE_CHECKING:
    import pandas as pd

_SAME = {"1": True, "true": True, "yes": True, "same": True, "0": False, "false": False, "no": False, "other": False}
_BESIDE = ("class", "id", "group")
_HEADERS = "a,b,same (pairs), text,class (texts) or class and columns of numbers (vectors, series)"


def find_in_csv(path: Path, params: ItemsParams) -> Found:
    """Reads a table, whose kind follows from its header.

    Raises:
        SiameseError: The header is none of those known, or the table is empty.
    """
    table = read_table(path, f"give a header {_HEADERS}")
    if not len(table):
        raise SiameseError("holds no row", where=str(path), fix=f"give rows under a header {_HEADERS}")
    columns = set(table.columns)
    if {"a", "b", "same"} <= columns:
        return _pairs(table, path, params)
    if {"text", "class"} <= columns:
        return _texts(table)
    if "class" in columns and len(columns) > 1:
        return _numbers(table, params)
    what = f"has columns {', '.join(map(str, table.columns[:6]))}"
    raise SiameseError(what, where=str(path), fix=f"give a header {_HEADERS}")


def read_table(path: Path, fix: str) -> pd.DataFrame:
    """Reads a table as text, without the empty column that a comma at the end of each line makes.

    Raises:
        SiameseError: The file cannot be read, is no CSV in UTF-8, or a line has more cells than the header.
    """
    try:
        table = read_csv(path.read_bytes())
    except (ValueError, OSError) as error:
        what = f"not a CSV table: {' '.join(str(error).split())}"
        raise SiameseError(what, where=str(path), fix=f"save it as CSV in UTF-8; {fix}") from error
    last = str(table.columns[-1])
    return table.iloc[:, :-1] if last.startswith("Unnamed: ") and not table[last].any() else table


def read_numbers(path: Path) -> NDArray[np.float32]:
    """Reads a CSV of numbers as ``(rows, columns)``; columns id, class and group are left out.

    A first line of names is a header; one of numbers is a row.

    Raises:
        ValueError: It is no such CSV.
        OSError: It cannot be read.
    """
    text = path.read_bytes().decode("utf-8-sig").lstrip("\r\n")
    cells = [cell.strip() for cell in text.partition("\n")[0].split(",")]
    while cells and not cells[-1]:
        cells.pop()
    if cells and all(not cell or _is_number(cell) for cell in cells):
        text = ",".join(f"column {number}" for number in range(len(cells))) + "\n" + text
    table = read_csv(text.encode())
    spare = [name for name in table if name in _BESIDE or (str(name).startswith("Unnamed: ") and not table[name].any())]
    return table.drop(columns=spare).to_numpy(dtype=np.float32)


def _pairs(table: pd.DataFrame, path: Path, params: ItemsParams) -> Found:
    """Reads listed pairs of image files, whose names are relative to the table's folder, or of texts."""
    pairs: list[RawPair] = []
    is_text = params.kind == "text" or (
        params.kind == "auto" and not any(Path(str(name)).suffix.lower() in IMAGES for name in table["a"][:100])
    )
    found = Found("text" if is_text else "image", [], pairs)
    items: dict[str, RawItem] = {}
    missing: set[str] = set()
    for row, (a, b, told) in enumerate(zip(table["a"], table["b"], table["same"], strict=True), 2):
        same = _SAME.get(str(told).strip().lower())
        if same is None:
            found.refused.append((f"line {row}", f"same is {told!r}, neither 1 nor 0"))
            continue
        names = []
        for branch, name in enumerate((str(a), str(b))):
            # The two sides of a pair are two kinds of input only where the params say so.
            key = f"{name}#2" if params.branches and branch else name
            if not is_text and key not in items and not _is_beside(name, path):
                missing.add(name)
                continue
            payload = name if is_text else b""
            items.setdefault(key, RawItem(key, key, payload, "", branch if params.branches else 0))
            names.append(key)
        if len(names) < 2:
            found.refused.append((f"line {row}", "names a file that is not there"))
        elif names[0] == names[1]:
            found.refused.append((f"line {row}", "compares an item with itself"))
        else:
            pairs.append(RawPair(names[0], names[1], same))
    found.refused += [(name, "there is no such file below the table's folder") for name in sorted(missing)]
    if not found.pairs:
        first = f", e.g. {shortened(sorted(missing)[0])}" if missing else ""
        what = f"holds no usable pair: {len(found.refused)} are refused{first}"
        raise SiameseError(what, where=str(path), fix="name files relative to the table's folder; same is 1 or 0")
    used = {name for pair in found.pairs for name in (pair.a, pair.b)}
    for key in sorted(used):
        item = items[key]
        if not is_text:
            item = replace(item, payload=path.parent / key.removesuffix("#2"))
        found.items.append(item)
    return found


def _is_beside(name: str, table: Path) -> bool:
    """Tells whether a table names a file of its folder; no other file of this machine is read for it."""
    return stays_below(name) and (table.parent / name).is_file()


def _texts(table: pd.DataFrame) -> Found:
    found = Found("text", [])
    for row, (text, name) in enumerate(zip(table["text"], table["class"], strict=True), 2):
        if not str(text).strip():
            found.refused.append((f"line {row}", "has no text"))
        elif not str(name).strip():
            found.refused.append((f"line {row}", "has no class"))
        else:
            found.items.append(RawItem(f"{row}: {text}", str(name), str(text)))
    return found


def _numbers(table: pd.DataFrame, params: ItemsParams) -> Found:
    found = Found("series" if params.kind == "series" else "vector", [])
    ids = table["id"] if "id" in table.columns else [f"line {row}" for row in range(2, len(table) + 2)]
    columns = [name for name in table.columns if name not in _BESIDE]
    groups = table["group"] if "group" in table.columns else [""] * len(table)
    rows = table[columns].to_numpy(dtype=object)
    for name, label, group, row in zip(ids, table["class"], groups, rows, strict=True):
        if not str(label).strip():
            found.refused.append((str(name), "has no class"))
            continue
        cells = list(map(str, row))
        if found.kind == "series":
            while cells and cells[-1] == "":
                cells.pop()
        try:
            values = np.array([float(cell) for cell in cells], np.float32)
        except ValueError:
            bad = next(cell for cell in cells if not _is_number(cell))
            found.refused.append((str(name), f"{bad!r} is no number"))
            continue
        found.items.append(RawItem(str(name), str(label), values, str(group)))
    return found


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
