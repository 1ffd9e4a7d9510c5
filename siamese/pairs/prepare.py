"""Prepares one scene: reads its images and labels, burns its mask, cuts its blocks."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from siamese.classes import UNCLASSIFIED
from siamese.errors import SiameseError
from siamese.geo import DecodedImage, decode_image
from siamese.ingest.catalog import ObjectRef, Scene
from siamese.ingest.labels import Building, parse_label
from siamese.pairs.blocks import Block, cut_blocks
from siamese.pairs.masks import Mask, training_mask
from siamese.pairs.people import PartialLabels
from siamese.store import ObjectStore


@dataclass(frozen=True, slots=True)
class PairBuilding:
    """A building with its footprints on both images."""

    uid: str
    subtype: str
    """Damage after the disaster, as xBD names it."""
    pre: BaseGeometry
    """Footprint on the pre image in pixels, x = column, y = row."""
    post: BaseGeometry
    """Footprint on the post image."""


@dataclass(frozen=True, slots=True)
class PreparedScene:
    """Everything that a pair set stores of a scene, in memory."""

    scene: Scene
    bands: tuple[int, int]
    """Bands of the pre and the post image."""
    blocks: tuple[Block, ...]
    buildings: tuple[PairBuilding, ...]


def prepare_scene(
    scene: Scene,
    store: ObjectStore,
    block_px: int,
    value_range: tuple[float, float] | None = None,
    people: Mapping[str, PartialLabels] = MappingProxyType({}),
) -> PreparedScene:
    """Reads a scene and makes its blocks.

    The mask comes from the footprints on the post image, where the damage is visible. Where either image has no data
    nothing can be learned, so the mask is 255 there, and everywhere in a scene without labels. In a scene where people
    labelled some buildings, those have their class, and the other mapped buildings are 255.

    Args:
        scene: A row of the catalog.
        store: Object storage that holds its files.
        block_px: Side of a block.
        value_range: Values that map to 0 and 255 in images wider than 8 bits; None: see :mod:`siamese.geo.values`.
        people: What people said about scenes without labels, by scene.

    Raises:
        SiameseError: An object has changed since it was ingested, or the scene's images do not match.
    """
    pre, post = (_image(scene, ref, store, value_range) for ref in (scene.pre_image, scene.post_image))
    labelled = scene.verdict == "accepted"
    labels = (_label(scene, ref, store) for ref in (scene.pre_label, scene.post_label)) if labelled else ((), ())
    buildings = _paired(scene, *labels)
    partial = None if labelled else people.get(scene.scene)
    if partial:
        buildings = tuple(
            PairBuilding(one.uid, one.subtype, one.footprint, one.footprint) for one in partial.labelled if one.subtype
        )
        mask = partial.mask(*post.pixels.shape[:2])
    else:
        mask = training_mask(((one.post, one.subtype) for one in buildings), *post.pixels.shape[:2])
        if not labelled:
            mask[:] = UNCLASSIFIED
    for raster in (pre, post):
        if raster.valid is not None and raster.valid.shape == mask.shape:
            mask[~raster.valid] = UNCLASSIFIED
    blocks = tuple(cut_blocks(scene.scene, pre.pixels, post.pixels, mask, block_px))
    return PreparedScene(scene, (pre.pixels.shape[2], post.pixels.shape[2]), blocks, buildings)


def unseen_pixels(mask: Mask, buildings: Sequence[PairBuilding]) -> NDArray[np.bool_]:
    """Finds where either image of a scene has no data; the mask marks it with the value of un-classified buildings.

    Args:
        mask: ``(H, W)`` mask of the scene.
        buildings: All buildings of the scene.

    Returns:
        ``(H, W)`` bool, True where there is no data.
    """
    labelled = training_mask(((one.post, one.subtype) for one in buildings), *mask.shape)
    return np.asarray((mask == UNCLASSIFIED) & (labelled != UNCLASSIFIED))


def _image(
    scene: Scene, ref: ObjectRef | None, store: ObjectStore, value_range: tuple[float, float] | None
) -> DecodedImage:
    held = _there(scene, ref)
    return decode_image(held.read(store), held.uri, max_side_px=max(_size(scene)), value_range=value_range)


def _label(scene: Scene, ref: ObjectRef | None, store: ObjectStore) -> tuple[Building, ...]:
    held = _there(scene, ref)
    width, height = _size(scene)
    # Ingest has accepted these very bytes, however many vertices they hold.
    return parse_label(held.read(store), held.uri, width=width, height=height, max_vertices=sys.maxsize).buildings


def _paired(scene: Scene, pre: tuple[Building, ...], post: tuple[Building, ...]) -> tuple[PairBuilding, ...]:
    before = {building.uid: building.pixels for building in pre}
    if before.keys() != {building.uid for building in post}:
        raise SiameseError("its labels name different buildings", where=scene.scene, fix="ingest it again")
    return tuple(
        PairBuilding(building.uid, str(building.subtype), before[building.uid], building.pixels) for building in post
    )


def _there(scene: Scene, ref: ObjectRef | None) -> ObjectRef:
    if ref is None:
        raise SiameseError("lacks an image or a label", where=scene.scene, fix="ingest it again")
    return ref


def _size(scene: Scene) -> tuple[int, int]:
    if not scene.width or not scene.height:
        raise SiameseError("has no size in the catalog", where=scene.scene, fix="ingest it again")
    return scene.width, scene.height
