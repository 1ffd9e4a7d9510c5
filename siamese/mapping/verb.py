"""The verb ``map``: a pair of images, or of mosaics, becomes a published damage map."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from affine import Affine

from siamese.classes import DAMAGE_CLASSES
from siamese.errors import SiameseError
from siamese.ingest.catalog import Scene
from siamese.manifests import Checkpoint, DamageMap
from siamese.mapping.buildings import UNKNOWN
from siamese.mapping.draw import PairPredictor, draw_map, window_count
from siamese.mapping.grid import plan_grid
from siamese.mapping.inputs import FoundImage, ImageFile, bring_images, catalogued, find_images, identity
from siamese.mapping.mosaic import mosaic
from siamese.mapping.picture import draw_picture
from siamese.mapping.stage import DAMAGE_MAP
from siamese.mapping.tiles import Tile, label_georeference, open_tiles
from siamese.model import Predictor
from siamese.model.weights import read_config
from siamese.params import MappingParams
from siamese.store import ObjectStore, put_blob, put_file
from siamese.store.stage import Input

Place = tuple[str, Affine]
"""crs, and (column, row) to its coordinates."""


def map_pair(
    pre: Sequence[str],
    post: Sequence[str],
    checkpoint: Checkpoint,
    params: MappingParams,
    store: ObjectStore,
    *,
    further: Sequence[Checkpoint] = (),
    event: str | None = None,
    disaster_type: str | None = None,
    model: str | None = None,
    predictor: PairPredictor | None = None,
) -> DamageMap:
    """Maps damage from images before and after a disaster.

    Args:
        pre: Files, folders, globs or s3:// addresses of PNG or GeoTIFF before it, one or several tiles.
        post: The same after it; on any grid, as long as it shows the same place.
        checkpoint: The network.
        params: Windows and least building.
        store: Where the map goes, bucket ``maps``.
        further: More networks; all their probabilities are averaged.
        event: Name of the disaster; by default that of the first pre image.
        disaster_type: What struck, for networks that were trained with it; see
            :data:`siamese.classes.DISASTER_TYPES`.
        model: What the map says of its model; by default the checkpoint's digest.
        predictor: The checkpoint's network (or the ensemble), when it is loaded already.

    Returns:
        The map; found, not drawn again, when these images were mapped with this network and these params.

    Raises:
        SiameseError: An image is missing, damaged or has the wrong bands, only one date has a georeference, or the
            dates show different places.
    """
    before, after = find_images(pre, "pre", store), find_images(post, "post", store)
    checkpoints = [checkpoint, *further]
    task = _Task(before, after, None, event or _event(before[0]), model or _named(checkpoints), disaster_type)
    return _map(task, checkpoints, params, store, predictor)


def map_scene(
    scene: Scene,
    checkpoint: Checkpoint,
    params: MappingParams,
    store: ObjectStore,
    *,
    further: Sequence[Checkpoint] = (),
    model: str | None = None,
    predictor: PairPredictor | None = None,
) -> DamageMap:
    """Maps one catalogued scene, be its images objects of their own or members of archives.

    Args:
        scene: A row of the catalog.
        checkpoint: The network.
        params: Windows and least building.
        store: Where scene and map lie.
        further: More networks; all their probabilities are averaged.
        model: What the map says of its model; by default the checkpoints' digests.
        predictor: The checkpoint's network (or the ensemble), when it is loaded already.

    Raises:
        SiameseError: The scene lacks an image, or an image is no longer what was ingested.
    """
    if scene.pre_image is None or scene.post_image is None:
        raise SiameseError("has not both images", where=scene.scene, fix="map a scene that is not quarantined")
    place = (scene.crs, scene.affine) if scene.crs and scene.affine else None
    before, after = (catalogued(scene.pre_image),), (catalogued(scene.post_image),)
    checkpoints = [checkpoint, *further]
    task = _Task(before, after, place, scene.scene, model or _named(checkpoints), scene.disaster_type)
    return _map(task, checkpoints, params, store, predictor)


@dataclass(frozen=True)
class _Task:
    """What is to be mapped."""

    pre: tuple[FoundImage, ...]
    post: tuple[FoundImage, ...]
    place: Place | None
    """From the catalog; None: from the images, or from labels beside them."""
    event: str
    model: str
    disaster_type: str | None

    def inputs(self) -> dict[str, str]:
        """Identities of all that goes in, known before any image is read."""
        labels = (image.label_identity for image in (*self.pre, *self.post))
        place = f"{self.place[0]} {tuple(self.place[1])[:6]}" if self.place else " ".join(labels).strip()
        images = {"pre": identity(self.pre), "post": identity(self.post)}
        return images | {"place": place, "event": self.event, "disaster_type": self.disaster_type or ""}


def _map(
    task: _Task,
    checkpoints: Sequence[Checkpoint],
    params: MappingParams,
    store: ObjectStore,
    predictor: PairPredictor | None,
) -> DamageMap:
    digest, *further = (one.digest for one in checkpoints)
    inputs: dict[str, Input] = {**task.inputs(), "checkpoint": checkpoints[0]}
    if further:
        inputs["further"] = checkpoints[1:]
    origin = DAMAGE_MAP.plan(inputs=inputs, params={"mapping": params})
    if found := DAMAGE_MAP.find(store, origin):
        return found
    with _workplace(store) as folder:
        before = bring_images(task.pre, "pre", folder / "pre", store)
        after = bring_images(task.post, "post", folder / "post", store)
        pre, post = _placed(before, after, task.place, folder, _bands(checkpoints[0], predictor, store))
        grid = plan_grid(pre, post)
        earlier, later = mosaic(pre, grid.crs), mosaic(post, grid.crs)
        network = predictor or Predictor.load(
            store, *checkpoints, expected_pairs=window_count(grid, params), flips=params.flips
        )
        files = draw_map(
            grid,
            earlier,
            later,
            network,
            params,
            folder,
            model=task.model,
            event=task.event,
            disaster_type=task.disaster_type,
        )
        counts = {name: files.counts.get(name, 0) for name in (*DAMAGE_CLASSES, UNKNOWN)}
        picture = draw_picture(
            grid, later, files.classes, counts, params.picture_px, event=task.event, model=task.model
        )
        target = store.maps / origin.digest
        return DamageMap(
            origin=origin,
            event=task.event,
            model=task.model,
            checkpoint=digest,
            further=tuple(further),
            classes=put_file(store, target, "damage.tif", files.classes),
            buildings=put_file(store, target, "buildings.parquet", files.buildings),
            geojson=put_file(store, target, "buildings.geojson", files.geojson),
            picture=put_blob(store, target, "picture.png", picture, "image/png"),
            counts=counts,
            crs=grid.crs,
            bounds=grid.degrees(),
            width=grid.width,
            height=grid.height,
            unknown_share=files.unknown_share,
            pre=tuple(image.name for image in task.pre),
            post=tuple(image.name for image in task.post),
        ).publish(store)


def _placed(
    before: Sequence[ImageFile], after: Sequence[ImageFile], place: Place | None, folder: Path, bands: tuple[int, int]
) -> tuple[tuple[Tile, ...], tuple[Tile, ...]]:
    """The tiles of both dates; an xBD scene without georeference gets that of its label, both dates the same.

    xBD's two images lie on one pixel grid, so one fit serves both; two would shift them against each other. For the
    same reason a catalogued scene of which only one image has a georeference has it on both.
    """
    pre, post = open_tiles(before, folder, bands[0]), open_tiles(after, folder, bands[1])
    if len(pre) != 1 or len(post) != 1 or (pre[0].crs and post[0].crs):
        return pre, post
    if place is None and (pre[0].crs or post[0].crs):
        return pre, post
    size = pre[0].width, pre[0].height
    if size != (post[0].width, post[0].height):
        return pre, post
    found = place or label_georeference(before[0], *size) or label_georeference(after[0], *size)
    if found is None:
        return pre, post
    crs, transform = found
    return (replace(pre[0], crs=crs, transform=transform),), (replace(post[0], crs=crs, transform=transform),)


def _bands(checkpoint: Checkpoint, predictor: PairPredictor | None, store: ObjectStore) -> tuple[int, int]:
    """Bands of the pre and of the post image; known before the network is loaded for as many windows as the map has."""
    if predictor is not None:
        return predictor.bands
    return read_config(checkpoint.network.read(store), checkpoint.network.uri).network.input_bands


@contextmanager
def _workplace(store: ObjectStore) -> Iterator[Path]:
    store.settings.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="map-", dir=store.settings.cache) as folder:
        yield Path(folder)


def _named(checkpoints: Sequence[Checkpoint]) -> str:
    return " + ".join(f"checkpoint {one.digest}" for one in checkpoints)


def _event(image: FoundImage) -> str:
    return Path(image.name).stem.removesuffix("_pre_disaster") or "map"
