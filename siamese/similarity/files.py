"""What the command line reads and draws: examples by class, pairs to compare, series, and sheets of answers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from siamese.errors import SiameseError
from siamese.params.similarity import ItemKind
from siamese.progress import LOGGER
from siamese.similarity.changes import PairChange, SeriesChange
from siamese.similarity.data.find import find_items
from siamese.similarity.data.folders import FORMATS, SUFFIXES, FileKind, find_in_folder
from siamese.similarity.data.names import shortened
from siamese.similarity.data.tables import read_table
from siamese.similarity.embedder import Embedder, EmbedderConfig, Raw
from siamese.similarity.plots import OTHER, SAME, figure_of, png, sheet

_COLUMNS = 8
_MOST_SHOWN = 64


def resolve_items(names: Sequence[str], kind: ItemKind) -> list[Raw]:
    """Returns the files that are named, those in folders included; or the texts.

    Raises:
        SiameseError: There is no such file, or a folder holds none of the kind.
    """
    if kind == "text":
        return list(names)
    found: list[Raw] = []
    for name in names:
        path = Path(name)
        if os.path.isdir(name):  # noqa: PTH112 - of a name that is too long, pathlib raises
            inside = files_below(path, kind)
            if not inside:
                fix = f"name a folder of {FORMATS[kind]} files"
                raise SiameseError(f"holds no {kind}", where=name, fix=fix)
            found += inside
        elif os.path.isfile(name):  # noqa: PTH113
            found.append(path)
        else:
            raise SiameseError("there is no such file or folder", where=shortened(name), fix="check the path")
    return found


def files_below(folder: Path, kind: FileKind) -> list[Path]:
    """Returns the files below a folder that may hold an item of a kind, sorted."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES[kind] and path.is_file())


def read_examples(source: Path, config: EmbedderConfig) -> Mapping[str, list[Raw]]:
    """Reads examples by class, of any form that training takes; of folders, a series or vector may be a file each.

    Forged items are examples of nothing and are left out.

    Args:
        source: A folder with one subfolder a class, or a CSV, NumPy or ``.ts`` file.
        config: Of the model that they are for.

    Raises:
        SiameseError: There is no such folder or file, or it holds no example of a class.
    """
    kind = config.item_kind
    params = config.items.model_copy(update={"kind": kind})
    if kind == "text" and source.is_dir():
        raise SiameseError("is a folder, and texts lie in a table", where=str(source), fix="give a CSV text,class")
    found = find_in_folder(source, params, kind) if kind != "text" and source.is_dir() else find_items(source, params)
    if found.pairs is not None:
        raise SiameseError("lists pairs, not examples by class", where=str(source), fix="name each example's class")
    examples: dict[str, list[Raw]] = {}
    for item in found.items:
        if not item.forged:
            examples.setdefault(item.class_name, []).append(item.payload)
    if not examples:
        fix = "give a folder with one subfolder of examples a class"
        raise SiameseError("holds no example that is genuine", where=str(source), fix=fix)
    if found.refused:
        name, reason = found.refused[0]
        LOGGER.warning(f"{source}: {len(found.refused)} cannot be examples; the first, {shortened(name)}, {reason}")
    return examples


def pairs_to_compare(first: str, second: str | None, kind: ItemKind) -> tuple[list[str], list[Raw], list[Raw]]:
    """Returns names, first and second items of pairs.

    Args:
        first: A file, a folder or a text; or, alone, a CSV with columns a and b, which name files or are texts.
        second: The same again; files of two folders are paired by name.
        kind: What the items are.

    Raises:
        SiameseError: A file is missing, or two folders share no name.
    """
    if second is None:
        return _listed_pairs(Path(first), kind)
    if kind == "text":
        return [f"{first} | {second}"], [first], [second]
    before, after = Path(first), Path(second)
    for path in (before, after):
        if not os.path.exists(path):  # noqa: PTH110
            raise SiameseError("there is no such file or folder", where=str(path), fix="check the path")
    if before.is_file():
        return [f"{before.name} | {after.name}"], [before], [after]
    ones = {path.relative_to(before).as_posix(): path for path in files_below(before, kind)}
    others = {path.relative_to(after).as_posix(): path for path in files_below(after, kind)}
    names = sorted(ones.keys() & others.keys())
    if not names:
        fix = f"give the two {kind}s of a pair the same name"
        raise SiameseError(f"shares no {kind} name with {after}", where=str(before), fix=fix)
    return names, [ones[name] for name in names], [others[name] for name in names]


def _listed_pairs(path: Path, kind: ItemKind) -> tuple[list[str], list[Raw], list[Raw]]:
    if path.suffix.lower() != ".csv" or not path.is_file():
        fix = f"give two {kind}s{', two folders' * (kind != 'text')}, or a CSV with columns a,b"
        raise SiameseError("is compared with nothing", where=shortened(str(path)), fix=fix)
    fix = "give a CSV with columns a,b"
    table = read_table(path, fix)
    if not {"a", "b"} <= set(table.columns) or not len(table):
        raise SiameseError("has no columns a and b, or no row", where=str(path), fix=fix)
    ones, others = (list(map(str, table[column])) for column in ("a", "b"))
    names = [f"{one} | {other}" for one, other in zip(ones, others, strict=True)]
    if kind == "text":
        return names, list(ones), list(others)
    missing = [name for name in (*ones, *others) if not os.path.isfile(path.parent / name)]  # noqa: PTH113
    if missing:
        what = f"names {len(missing)} files that are not there, e.g. {shortened(missing[0])}"
        raise SiameseError(what, where=str(path), fix="name files relative to the table's folder")
    return names, [path.parent / name for name in ones], [path.parent / name for name in others]


def item_sheet(embedder: Embedder, answers: Sequence[tuple[Raw, str]]) -> bytes:
    """Returns a PNG with items and the answer about each."""
    shown = answers[:_MOST_SHOWN]
    cells = [(value, told) for value, (_, told) in zip(embedder.prepare([raw for raw, _ in shown]), shown, strict=True)]
    rows = [cells[start : start + _COLUMNS] for start in range(0, len(cells), _COLUMNS)]
    return sheet(rows, embedder.config.item_kind)


def change_sheet(
    embedder: Embedder, answers: Sequence[PairChange], before: Sequence[Raw], after: Sequence[Raw]
) -> bytes:
    """Returns a PNG with the pairs that changed most, before above after."""
    order = sorted(range(len(answers)), key=lambda place: -answers[place].distance)[:_COLUMNS]
    rows: list[list[tuple[NDArray[Any], str]]] = []
    for raw, second in ((before, False), (after, True)):
        values = embedder.prepare([raw[place] for place in order])
        told = [
            f"{'changed' if answers[place].changed else 'same'} {answers[place].distance:.2f}" if second
            else Path(answers[place].name.split(" | ")[0]).name
            for place in order
        ]  # fmt: skip
        rows.append(list(zip(values, told, strict=True)))
    return sheet(rows, embedder.config.item_kind, "the pairs that changed most: before, after")


def series_sheet(series: NDArray[np.float32], curve: NDArray[np.floating], changes: Sequence[SeriesChange]) -> bytes:
    """Returns a PNG with a series above the distance of its windows, and lines at the changes."""
    figure, axes = figure_of(10, 4, 2, 1)
    axes[0, 0].plot(series.T, linewidth=0.7)
    compared = np.flatnonzero(np.isfinite(curve))
    axes[1, 0].plot(compared, curve[compared], color=SAME, linewidth=0.9)
    axes[1, 0].set(xlabel="step", ylabel="distance")
    axes[1, 0].set_xlim(axes[0, 0].get_xlim())
    for change in changes:
        for place in axes[:, 0]:
            place.axvline(change.step, color=OTHER, linewidth=1)
    return png(figure)
