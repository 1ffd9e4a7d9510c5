"""What the command line reads and draws: examples by class, pairs to compare, series, and sheets of answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from siamese.errors import SiameseError
from siamese.params.similarity import ItemKind
from siamese.similarity.changes import PairChange, SeriesChange
from siamese.similarity.data.folders import IMAGES
from siamese.similarity.embedder import Embedder, Raw
from siamese.similarity.plots import OTHER, SAME, figure_of, png, sheet
from siamese.tables import read_csv

_COLUMNS = 8
_MOST_SHOWN = 64


def resolve_items(names: Sequence[str], kind: ItemKind) -> list[Raw]:
    """Returns the image files that are named, those in folders included; or the texts.

    Raises:
        SiameseError: There is no such file, or a folder holds no image.
    """
    if kind == "text":
        return list(names)
    found: list[Raw] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            inside = images_below(path)
            if not inside:
                raise SiameseError("holds no image", where=name, fix="name a folder of PNG, JPEG or TIFF files")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise SiameseError("there is no such file or folder", where=name, fix="check the path")
    return found


def images_below(folder: Path) -> list[Path]:
    """Returns the image files below a folder, sorted."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGES and path.is_file())


def read_examples(source: Path, kind: ItemKind) -> Mapping[str, list[Raw]]:
    """Reads examples by class: a folder with one subfolder a class, or a CSV ``text,class``.

    Raises:
        SiameseError: There is no such folder or file, or it holds no class.
    """
    found: dict[str, list[Raw]] = {}
    if kind == "text" and source.is_file():
        table = read_csv(source.read_bytes())
        if not {"text", "class"} <= set(table.columns):
            raise SiameseError("has no columns text and class", where=str(source), fix="give a CSV text,class")
        for text, name in zip(table["text"], table["class"], strict=True):
            found.setdefault(str(name), []).append(str(text))
    elif source.is_dir():
        found = {folder.name: list(images_below(folder)) for folder in sorted(source.iterdir()) if folder.is_dir()}
    else:
        raise SiameseError("there is no such folder", where=str(source), fix="give a folder with one subfolder a class")
    if not found:
        fix = "give a folder with one subfolder of examples a class"
        raise SiameseError("holds no class", where=str(source), fix=fix)
    return found


def pairs_to_compare(before: Path, after: Path | None) -> tuple[list[str], list[Raw], list[Raw]]:
    """Returns names, first and second images: of two files, of two folders by name, or of a CSV with columns a and b.

    Raises:
        SiameseError: A file is missing, or two folders share no name.
    """
    if after is None:
        if before.suffix.lower() != ".csv" or not before.is_file():
            fix = "give two images, two folders, or a CSV with columns a,b"
            raise SiameseError("is compared with nothing", where=str(before), fix=fix)
        table = read_csv(before.read_bytes())
        if not {"a", "b"} <= set(table.columns) or not len(table):
            raise SiameseError(
                "has no columns a and b, or no row", where=str(before), fix="give a CSV with columns a,b"
            )
        ones, others = ([before.parent / str(name) for name in table[column]] for column in ("a", "b"))
        missing = [path for path in (*ones, *others) if not path.is_file()]
        if missing:
            what = f"names {len(missing)} files that are not there, e.g. {missing[0].name}"
            raise SiameseError(what, where=str(before), fix="name files relative to the table's folder")
        return [f"{a} | {b}" for a, b in zip(table["a"], table["b"], strict=True)], list(ones), list(others)
    for path in (before, after):
        if not path.exists():
            raise SiameseError("there is no such file or folder", where=str(path), fix="check the path")
    if before.is_file():
        return [f"{before.name} | {after.name}"], [before], [after]
    first = {path.relative_to(before).as_posix(): path for path in images_below(before)}
    second = {path.relative_to(after).as_posix(): path for path in images_below(after)}
    names = sorted(first.keys() & second.keys())
    if not names:
        fix = "give the two images of a pair the same name"
        raise SiameseError(f"shares no image name with {after}", where=str(before), fix=fix)
    return names, [first[name] for name in names], [second[name] for name in names]


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
