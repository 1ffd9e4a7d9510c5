"""Turns raw items into one array that a network takes; refuses those that do not fit, with a reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from siamese.errors import SiameseError
from siamese.geo import by_fours, decode_image
from siamese.params import ItemsParams
from siamese.params.similarity import ItemKind
from siamese.similarity.data.items import RawItem, Values

_MAX_SIDE_PX = 20_000
_JPEG = b"\xff\xd8\xff"
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
        name, reason = refused[0]
        what = f"none of {len(items)} items can be used; the first, {name}, {reason}"
        raise SiameseError(what, where="data", fix="mend the data")
    return kept, values, refused, notes


def encode_text(text: str, length: int) -> NDArray[np.uint8]:
    """Returns a text's UTF-8 bytes, lower case, cut or padded with 0 to ``(length,)``."""
    data = text.casefold().strip().replace("\0", " ").encode()[:length]
    return np.frombuffer(data.ljust(length, b"\0"), np.uint8)


def read_image(data: bytes, name: str) -> NDArray[np.uint8]:
    """Decodes a PNG, TIFF or JPEG to ``(H, W, bands)``, colour in RGB order.

    Raises:
        SiameseError: The bytes are none of these, or damaged.
    """
    if not data.startswith(_JPEG):
        return decode_image(data, name, max_side_px=_MAX_SIDE_PX).pixels
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise SiameseError("is a damaged JPEG", where=name, fix="copy the file again from its source")
    if image.ndim == 2:
        return np.asarray(image[..., None], np.uint8)
    return np.asarray(cv2.cvtColor(image[..., :3], cv2.COLOR_BGR2RGB), np.uint8)


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
    decoded: list[tuple[RawItem, NDArray[np.uint8]]] = []
    refused: Refused = []
    for item in items:
        match item.payload:
            case np.ndarray() as image:
                decoded.append((item, image))
            case bytes() as data:
                try:
                    decoded.append((item, read_image(data, item.id)))
                except SiameseError as error:
                    refused.append((item.id, error.what))
            case _:
                refused.append((item.id, "is a text, not an image"))
    sizes = Counter(image.shape[:2] for _, image in decoded)
    usual = sizes.most_common(1)[0][0] if sizes else (0, 0)
    notes = []
    if params.sizes == "refuse":
        other = [item.id for item, image in decoded if image.shape[:2] != usual]
        refused += [(name, f"is not of the usual size, {usual[0]} x {usual[1]}") for name in other]
        decoded = [(item, image) for item, image in decoded if image.shape[:2] == usual]
    elif len(sizes) > 1:
        done = "padded and resized" if params.sizes == "pad" else "resized"
        notes.append(f"images of {len(sizes)} sizes were {done} to {params.side_px} x {params.side_px} pixels")
    grey = all(_is_grey(image) for _, image in decoded)
    bands = params.bands or (1 if grey else 3)
    fitted = [fit_image(image, params.side_px, bands, pad=params.sizes == "pad") for _, image in decoded]
    return [item for item, _ in decoded], np.stack(fitted) if fitted else np.empty(0), refused, notes


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
