"""Sources of vectors besides maps: folders of images, the images of a catalog, labelled buildings of a pair set."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from siamese.embedding.chips import SUFFIXES, Image, around, cut_chip, load_image, read_image
from siamese.embedding.encoders import ChipEncoder, checked
from siamese.embedding.featuring import DamageFeatures
from siamese.embedding.pooling import number_pixels
from siamese.embedding.vectors import Floats, Rows
from siamese.errors import SiameseError
from siamese.ingest.catalog import ObjectRef, read_catalog
from siamese.manifests import PairSet, SceneCatalog, Split
from siamese.pairs.reader import PairReader
from siamese.params import EmbeddingParams
from siamese.progress import progress
from siamese.store import ObjectStore, file_sha256

_SPLITS: Final[tuple[Split, ...]] = ("train", "val", "test")


def find_folder(folder: Path) -> tuple[Path, ...]:
    """Returns the images of a folder and of its subfolders, in order of name.

    Raises:
        SiameseError: There are none.
    """
    found = tuple(sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()))
    if not found:
        raise SiameseError("holds no PNG, TIFF or JPEG", where=str(folder), fix="name a folder of images")
    return found


def folder_identity(paths: tuple[Path, ...], folder: Path) -> str:
    """Returns the identity of a folder's images: their names and bytes."""
    parts = (f"{path.relative_to(folder).as_posix()} {file_sha256(path)}" for path in paths)
    return hashlib.sha256("\n".join(parts).encode(errors="surrogateescape")).hexdigest()


def folder_rows(
    paths: tuple[Path, ...], folder: Path, encoder: ChipEncoder, params: EmbeddingParams, skipped: dict[str, str]
) -> Iterator[Rows]:
    """Yields the vectors of images; those that cannot be read go into ``skipped`` with the reason.

    The id of an image is its path below the folder; its subfolder, if it has one, is in the column ``class``.
    """
    named = [(path.relative_to(folder).as_posix(), path) for path in paths]
    named = [(name.encode(errors="replace").decode(), path) for name, path in named]
    with progress("embed images", len(named)) as advance:
        for start in range(0, len(named), params.batch):
            part = named[start : start + params.batch]
            rows = _encoded([(name, partial(load_image, path)) for name, path in part], encoder, skipped)
            rows.columns["class"] = [name.rpartition("/")[0] or None for name in rows.ids]
            advance(len(part))
            yield rows


FOLDER_COLUMNS: Final = {"class": pa.string()}


def catalog_rows(
    catalog: SceneCatalog, encoder: ChipEncoder, store: ObjectStore, skipped: dict[str, str]
) -> Iterator[Rows]:
    """Yields a vector for each image of the catalog's usable scenes; ids as xBD names images."""
    with progress("embed scenes", catalog.accepted + catalog.unlabelled) as advance:
        for scene in read_catalog(store, catalog):
            if scene.verdict == "quarantined":
                skipped[scene.scene] = f"quarantined: {'; '.join(scene.reasons)}"
                continue
            images = {"pre": scene.pre_image, "post": scene.post_image}
            asked: list[tuple[str, Callable[[], Image]]] = [
                (f"{scene.scene}_{date}_disaster", partial(_read, found, store))
                for date, found in images.items()
                if found is not None
            ]
            rows = _encoded(asked, encoder, skipped)
            rows.columns["scene"] = [scene.scene] * len(rows.ids)
            rows.columns["date"] = [name.rsplit("_", 2)[1] for name in rows.ids]
            advance(note=scene.scene)
            if rows.ids:
                yield rows


CATALOG_COLUMNS: Final = {"scene": pa.string(), "date": pa.string()}


def pair_rows(
    pairs: PairSet,
    encoder: ChipEncoder | DamageFeatures,
    params: EmbeddingParams,
    store: ObjectStore,
    skipped: dict[str, str],
) -> Iterator[Rows]:
    """Yields a vector for each labelled building of a pair set, with its scene, split and class."""
    reader = PairReader(store, pairs, cache=store.settings.cache)
    scenes = [entry for split in _SPLITS for entry in reader.scenes(split)]
    with progress("embed scenes", len(scenes)) as advance:
        for entry in scenes:
            buildings = reader.buildings(entry.scene)
            if buildings:
                pre, post, _ = reader.whole(entry.scene)
                ids = [f"{entry.scene}/{one.uid}" for one in buildings]
                if isinstance(encoder, DamageFeatures):
                    numbers = number_pixels([one.pre for one in buildings], 0, 0, *pre.shape[:2])
                    values = encoder.vectors(pre, post, numbers, len(buildings), entry.disaster_type)
                else:
                    boxes = [around(one.pre.bounds, params.context) for one in buildings]
                    values = pair_vectors([(cut_chip(pre, box), cut_chip(post, box)) for box in boxes], encoder)
                yield Rows(ids, checked(values, ids), {
                    "scene": [entry.scene] * len(ids),
                    "split": [entry.split] * len(ids),
                    "class": [one.subtype.replace("-", "_") for one in buildings],
                })  # fmt: skip
            else:
                skipped[entry.scene] = "has no labelled building"
            advance(note=entry.scene)


PAIR_COLUMNS: Final = {"scene": pa.string(), "split": pa.string(), "class": pa.string()}


def pair_vectors(chips: list[tuple[Image, Image]], encoder: ChipEncoder) -> Floats:
    """Returns the vectors of chips of two dates: that of pre, then that of post.

    Args:
        chips: Pre and post chip of each building.
        encoder: The encoder.

    Returns:
        ``(n, 2 x dimension of the encoder)`` float32.
    """
    if not chips:
        return np.zeros((0, 2 * encoder.dimension), np.float32)
    pre, post = (np.stack([encoder.prepare(pair[date]) for pair in chips]) for date in (0, 1))
    return np.concatenate([encoder.embed(pre), encoder.embed(post)], axis=1)


def _read(found: ObjectRef, store: ObjectStore) -> Image:
    return read_image(found.read(store), found.uri)


def _encoded(
    asked: list[tuple[str, Callable[[], Image]]],
    encoder: ChipEncoder,
    skipped: dict[str, str],
) -> Rows:
    ids, chips = [], []
    for name, read in asked:
        try:
            chips.append(encoder.prepare(read()))
        except SiameseError as error:
            skipped[name] = str(error)
            continue
        ids.append(name)
    if not ids:
        return Rows([], np.zeros((0, encoder.dimension), np.float32))
    return Rows(ids, checked(encoder.embed(np.stack(chips)), ids))
