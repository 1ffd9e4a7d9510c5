"""Turns raw items into one array that a network takes; refuses those that do not fit, with a reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from siamese.errors import SiameseError
from siamese.geo import by_fours, decode_image, decode_jpeg, is_jpeg, opened
from siamese.geo.formats import PNG_SIGNATURE
from siamese.params import ItemsParams
from siamese.params.similarity import ItemKind
from siamese.similarity.data.items import RawItem, Values, none_usable

_MAX_SIDE_PX = 20_000
Refused = list[tuple[str, str]]


def decode_items(
    kind: ItemKind, items: Sequence[RawItem], params: ItemsParams
) -> tuple[list[RawItem], Values, Refused, list[str]]:
    """Decodes items into one array.

    Args:
        kind: What they are.
        items: The raw items.
        params: Size, length and so on.

    Returns:
        The items that fit, their values, id and reason of the others, and notes on what was done to some.

    Raises:
        SiameseError: None fits.
    """
    if not items:
        raise none_usable((), 0, "data")
    match kind:
        case "image":
            kept, values, refused, notes = _images(items, params)
        case "series":
            kept, values, refused, notes = _series(items, params)
        case "vector":
            kept, values, refused, notes = _vectors(items, params)
        case "text":
            kept, refused, notes = list(items), [], []
            values = np.stack([encode_text(str(item.payload), params.text_length) for item in items])
    if not kept:
        raise none_usable(refused, len(items), "data")
    return kept, values, refused, notes


def encode_text(text: str, length: int) -> NDArray[np.uint8]:
    """Returns a text's UTF-8 bytes, lower case, cut or padded with 0 to ``(length,)``."""
    data = text.casefold().strip().replace("\0", " ").encode()[:length]
    return np.frombuffer(data.ljust(length, b"\0"), np.uint8)


def read_image(data: bytes, name: str) -> NDArray[np.uint8]:
    """Decodes a PNG, TIFF or JPEG to ``(H, W, bands)``, colour in RGB order.

    Raises:
        SiameseError: The bytes are none of these, damaged, too large an image, or without any finite value.
    """
    if is_jpeg(data):
        return decode_jpeg(data, name, max_side_px=_MAX_SIDE_PX)
    found = decode_image(data, name, max_side_px=_MAX_SIDE_PX)
    if found.valid is not None and not found.valid.any() and not _holds_values(data, name):
        raise SiameseError("holds no finite value", where=name, fix="make the file again")
    return found.pixels


def _holds_values(data: bytes, name: str) -> bool:
    """Tells whether any value of an image is finite; integers always are."""
    if data.startswith(PNG_SIGNATURE):
        return True
    with opened(data, name) as dataset:
        return any(bool(np.isfinite(dataset.read(band)).any()) for band in dataset.indexes)


def fit_image(image: NDArray[np.uint8], side: int, bands: int, *, pad: bool = False) -> NDArray[np.uint8]:
    """Brings an image to ``(side, side, bands)``; padded with the colour of its border if asked to."""
    if image.shape[2] > bands == 3 or image.shape[2] == 2:
        image = image[..., :3] if image.shape[2] > 2 else image[..., :1]
    if image.shape[2] == 3 and bands == 1:
        image = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)[..., None]
    elif image.shape[2] == 1 and bands == 3:
        image = np.repeat(image, 3, axis=2)
    if pad and image.shape[0] != image.shape[1]:
        longest = max(image.shape[:2])
        above, left = (longest - image.shape[0]) // 2, (longest - image.shape[1]) // 2
        edge = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
        canvas = np.empty((longest, longest, image.shape[2]), np.uint8)
        canvas[:] = np.median(edge, axis=0).astype(np.uint8)
        canvas[above : above + image.shape[0], left : left + image.shape[1]] = image
        image = canvas
    if image.shape[:2] == (side, side):
        return np.ascontiguousarray(image)
    smooth = cv2.INTER_AREA if max(image.shape[:2]) > side else cv2.INTER_LINEAR
    return by_fours(image, lambda some: cv2.resize(some, (side, side), interpolation=smooth))


def _images(items: Sequence[RawItem], params: ItemsParams) -> tuple[list[RawItem], Values, Refused, list[str]]:
    decoded: list[_Fitted] = []
    refused: Refused = []
    for item in items:
        try:
            decoded.append(_fitted(item, params))
        except SiameseError as error:
            refused.append((item.id, error.what))
    sizes = Counter(image.size for image in decoded)
    usual = sizes.most_common(1)[0][0] if sizes else (0, 0)
    notes = []
    if params.sizes == "refuse":
        other = [image.item.id for image in decoded if image.size != usual]
        refused += [(name, f"is not of the usual size, {usual[0]} x {usual[1]}") for name in other]
        decoded = [image for image in decoded if image.size == usual]
    elif len(sizes) > 1:
        done = "padded and resized" if params.sizes == "pad" else "resized"
        notes.append(f"images of {len(sizes)} sizes were {done} to {params.side_px} x {params.side_px} pixels")
    bands = params.bands or (1 if all(image.grey for image in decoded) else 3)
    values = np.stack([image.by_bands[bands] for image in decoded]) if decoded else np.empty(0)
    return [image.item for image in decoded], values, refused, notes


@dataclass(frozen=True, eq=False)
class _Fitted:
    """An image at the size that a network takes. The whole one is not kept: photos are large."""

    item: RawItem
    size: tuple[int, ...]
    """Height and width that it had."""
    grey: bool
    by_bands: Mapping[int, NDArray[np.uint8]]
    """By the number of bands that items may get; which, is known when all are read."""


def _fitted(item: RawItem, params: ItemsParams) -> _Fitted:
    image = _read(item)
    grey = _is_grey(image)
    wanted = (params.bands,) if params.bands else (1, 3) if grey else (3,)
    pad = params.sizes == "pad"
    by_bands = {bands: fit_image(image, params.side_px, bands, pad=pad) for bands in wanted}
    return _Fitted(item, image.shape[:2], grey, by_bands)


def _read(item: RawItem) -> NDArray[np.uint8]:
    match item.payload:
        case np.ndarray() as image:
            return image
        case Path() as path:
            try:
                data = path.read_bytes()
            except OSError as error:
                raise SiameseError(f"cannot be read: {error.strerror}", where=item.id, fix="check the file") from error
            return read_image(data, item.id)
        case bytes() as data:
            return read_image(data, item.id)
    raise SiameseError("is a text, not an image", where=item.id, fix="give image files")


def _is_grey(image: NDArray[np.uint8]) -> bool:
    return image.shape[2] < 3 or bool((image[..., 0] == image[..., 1]).all() and (image[..., 0] == image[..., 2]).all())


def _series(items: Sequence[RawItem], params: ItemsParams) -> tuple[list[RawItem], Values, Refused, list[str]]:
    kept: list[RawItem] = []
    rows: list[NDArray[np.float32]] = []
    refused: Refused = []
    for item in items:
        row = np.atleast_2d(np.asarray(item.payload, np.float32))
        while row.shape[1] and np.isnan(row[:, -1]).all():
            row = row[:, :-1]
        if row.shape[1] < 2:
            refused.append((item.id, "has fewer than two steps"))
        elif not np.isfinite(row).all():
            refused.append((item.id, "holds a NaN or infinity"))
        else:
            kept.append(item)
            rows.append(standardized(row) if params.standardize else row)
    channels = Counter(len(row) for row in rows)
    usual = channels.most_common(1)[0][0] if channels else 0
    lengths = Counter(row.shape[1] for row in rows)
    longest = max(lengths, default=0)
    notes = []
    if len(lengths) > 1 and params.lengths == "refuse":
        longest = lengths.most_common(1)[0][0]
    elif len(lengths) > 1:
        notes.append(f"series of {min(lengths)} to {longest} steps were padded to {longest}")
    fits = []
    for item, row in zip(kept, rows, strict=True):
        if len(row) != usual:
            refused.append((item.id, f"has {len(row)} channels, most have {usual}"))
        elif params.lengths == "refuse" and row.shape[1] != longest:
            refused.append((item.id, f"has {row.shape[1]} steps, most have {longest}; set items.lengths=pad"))
        else:
            fits.append((item, np.pad(row, ((0, 0), (0, longest - row.shape[1])), constant_values=np.nan)))
    return [item for item, _ in fits], np.stack([row for _, row in fits]) if fits else np.empty(0), refused, notes


def standardized(series: NDArray[np.float32]) -> NDArray[np.float32]:
    """Gives each channel of ``(channels, steps)`` mean 0 and deviation 1; a constant one becomes 0."""
    centred = series - series.mean(1, keepdims=True)
    deviation = centred.std(1, keepdims=True)
    return np.asarray(centred / np.where(deviation > 1e-8, deviation, 1), np.float32)


def _vectors(items: Sequence[RawItem], params: ItemsParams) -> tuple[list[RawItem], Values, Refused, list[str]]:
    rows = [(item, np.asarray(item.payload, np.float32).ravel()) for item in items]
    usual = Counter(len(row) for _, row in rows).most_common(1)[0][0]
    kept, refused = [], []
    for item, row in rows:
        if len(row) != usual:
            refused.append((item.id, f"has {len(row)} columns, most have {usual}"))
        elif not np.isfinite(row).all():
            refused.append((item.id, "holds a NaN or infinity"))
        else:
            kept.append((item, row))
    del params
    return [item for item, _ in kept], np.stack([row for _, row in kept]) if kept else np.empty(0), refused, []
