"""Finds items in NumPy arrays and in the ``.ts`` files of the UCR and aeon archives."""

from __future__ import annotations

import tokenize
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from siamese.errors import SiameseError
from siamese.params import ItemsParams
from siamese.params.similarity import ItemKind
from siamese.similarity.data.items import Found, RawItem

_VALUES, _LABELS = ("x", "X", "data", "values"), ("y", "Y", "labels", "classes", "target")


def find_in_npy(path: Path, params: ItemsParams) -> Found:
    """Reads ``.npz`` with ``x`` and ``y``, or ``NAME.npy`` with its labels in ``NAME.labels.npy``.

    Raises:
        SiameseError: There are no labels, or they are not as many as the items.
    """
    fix = "save values as x and labels as y in one .npz, or NAME.npy beside NAME.labels.npy"
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.lib.npyio.NpzFile):
            values = next((loaded[name] for name in _VALUES if name in loaded), None)
            labels = next((loaded[name] for name in _LABELS if name in loaded), None)
            groups = loaded["groups"] if "groups" in loaded.files else None
        else:
            beside = path.with_suffix(".labels.npy")
            values, groups = loaded, None
            labels = np.load(beside, allow_pickle=False) if beside.is_file() else None
    except (ValueError, OSError, EOFError, MemoryError, BadZipFile, zlib.error, tokenize.TokenError) as error:
        raise SiameseError(f"not a NumPy file: {' '.join(str(error).split())}", where=str(path), fix=fix) from error
    if values is None or labels is None:
        raise SiameseError(f"has no {'values' if values is None else 'labels'}", where=str(path), fix=fix)
    for told, named in (("labels", labels), ("groups", groups)):
        if named is not None and not named.ndim:
            raise SiameseError(f"its {told} are one value", where=str(path), fix="give one an item")
    of_classes = None if groups is None else groups.tolist()
    return found_in_arrays(values, labels.tolist(), params, groups=of_classes, where=str(path))


def found_in_arrays(
    values: NDArray[Any],
    labels: Sequence[object],
    params: ItemsParams,
    *,
    groups: Sequence[object] | None = None,
    where: str = "array",
) -> Found:
    """Takes items from an array whose first axis runs over them.

    Args:
        values: ``(n, columns)`` vectors or, with ``items.kind: series``, series of one channel; ``(n, H, W)`` uint8 or
            with ``items.kind: image`` grey images; ``(n, channels, steps)`` series; ``(n, H, W, bands)`` images.
        labels: Class of each item.
        params: Tells what the items are where the array's form does not.
        groups: Group of each item's class.
        where: How errors name the array.

    Raises:
        SiameseError: The form is none of these, there are not as many labels or groups as items, or no numbers.
    """
    count = len(values) if values.ndim else 0
    for told, named in (("label", labels), ("group", groups)):
        if named is not None and (not values.ndim or len(named) != count):
            what = f"has {count} items and {len(named)} {told}s"
            raise SiameseError(what, where=where, fix=f"give one {told} an item")
    if values.dtype.kind not in "biuf":
        raise SiameseError(f"holds {values.dtype}, no numbers", where=where, fix="give integers or floats")
    kind = _kind(values, params)
    if kind is None or 0 in values.shape[1:]:
        what = f"is of shape {values.shape}"
        fix = "give (n, columns), (n, channels, steps), (n, H, W) or (n, H, W, bands)"
        raise SiameseError(what, where=where, fix=fix)
    empty = np.zeros(count, np.bool_)
    if kind == "image" and values.dtype != np.uint8:
        finite = np.isfinite(values)
        empty = ~finite.reshape(count, -1).any(1) if count else empty
        top = float(np.max(values, where=finite, initial=0))
        # Floats in 0..1 and whole numbers in 0..16, as in scikit-learn's digits, become 0..255.
        numbers = np.nan_to_num(values, posinf=top, neginf=0)
        values = np.clip(numbers * (255 / top if top > 0 else 1), 0, 255).astype(np.uint8)
    rows = values[:, None, :] if kind == "series" and values.ndim == 2 else values
    rows = values[..., None] if kind == "image" and values.ndim == 3 else rows
    found = Found(kind, [])
    for number, (row, label) in enumerate(zip(rows, labels, strict=True)):
        if empty[number]:
            found.refused.append((f"{number}", "holds no finite value"))
            continue
        group = str(groups[number]) if groups is not None else ""
        found.items.append(RawItem(f"{number}", str(label), np.asarray(row), group))
    return found


def _kind(values: NDArray[Any], params: ItemsParams) -> ItemKind | None:
    match values.ndim, params.kind:
        case 2, "auto" | "vector":
            return "vector"
        case 2 | 3, "series":
            return "series"
        case 3, "auto":
            return "image" if values.dtype == np.uint8 else "series"
        case 3 | 4, "image":
            return "image"
        case 4, "auto":
            return "image"
    return None


def find_in_ts(path: Path, params: ItemsParams) -> Found:
    """Reads a ``.ts`` file: a header of ``@`` lines, then one series a line, channels parted by ``:``, its class last.

    Raises:
        SiameseError: The file has no ``@data``, or its series have no class.
    """
    del params
    header: dict[str, str] = {}
    found = Found("series", [])
    started = False
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if not started:
            name, _, value = line.lstrip("@").partition(" ")
            header[name.lower()] = value.strip()
            started = line.lower() == "@data"
            if started and header.get("classlabel", "true").lower().startswith("false"):
                raise SiameseError("its series have no class", where=str(path), fix="give a file with @classLabel true")
            continue
        *channels, label = line.split(":")
        try:
            rows = [[np.nan if cell.strip() in "?" else float(cell) for cell in row.split(",")] for row in channels]
            values = np.array(rows, np.float32)
        except ValueError:
            found.refused.append((f"{path.name}:{number}", "is no line of numbers, with channels of one length"))
            continue
        if not label.strip():
            found.refused.append((f"{path.name}:{number}", "has no class"))
            continue
        found.items.append(RawItem(f"{path.name}:{number}", label.strip(), values))
    if not started:
        raise SiameseError("has no @data", where=str(path), fix="give a .ts file of the UCR or aeon archive")
    return found
