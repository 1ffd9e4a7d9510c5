"""Finds again the images that a map was made from, so that the same pixels can be read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Literal

from affine import Affine

from siamese.errors import NotPublishedError, SiameseError
from siamese.geo import local_gdal
from siamese.ingest.catalog import Scene, read_catalog
from siamese.manifests import BuildingSet, DamageMap, Prediction, SceneCatalog
from siamese.mapping.decide import grid_of
from siamese.mapping.grid import Grid
from siamese.mapping.inputs import FoundImage, catalogued, find_images, identity, scene_images
from siamese.mapping.placing import Place
from siamese.mapping.shifts import ShiftField
from siamese.mapping.task import PLACES_APART, Imagery, MapTask, open_imagery
from siamese.mapping.tiles import GDAL
from siamese.mapping.workplace import workplace
from siamese.params import PredictParams
from siamese.store import ObjectStore

_PLACE = re.compile(r"(?P<crs>.+) \((?P<numbers>[^()]+)\)", re.DOTALL)
Date = Literal["pre", "post"]


@dataclass(frozen=True)
class MapParts:
    """A map's manifests, and how its imagery was read."""

    made: DamageMap
    prediction: Prediction
    buildings: BuildingSet
    params: PredictParams


def map_parts(made: DamageMap, store: ObjectStore) -> MapParts:
    """Returns the manifests behind a map.

    Raises:
        SiameseError: The map was made before its steps were kept.
    """
    if made.prediction is None or made.building_set is None:
        what = "was made before maps kept the outlines of their buildings in pixels"
        raise SiameseError(what, where=f"map {made.digest}", fix="map its images again")
    prediction = Prediction.load(store, made.prediction)
    params = PredictParams.model_validate(prediction.origin.params.get("mapping", {}))
    return MapParts(made, prediction, BuildingSet.load(store, made.building_set), params)


@contextmanager
def reopened(parts: MapParts, store: ObjectStore) -> Iterator[Imagery]:
    """Opens the images of a map on the map's own grid, as they were read when it was made.

    Args:
        parts: The map.
        store: Object storage that may hold the images.

    Raises:
        SiameseError: The images are gone, have changed, or no longer give the map's grid.
    """
    task = _find(parts, store)
    with ExitStack() as stack:
        folder = stack.enter_context(workplace(store))
        stack.enter_context(local_gdal(**GDAL))
        imagery = open_imagery(
            task,
            parts.prediction.bands,
            folder,
            store,
            parts.params.value_range,
            orders=parts.params.band_orders,
            grid=_given_grid(parts),
        )
        found = imagery.grid
        if (found.crs, found.width, found.height) != (
            parts.prediction.crs, parts.prediction.width, parts.prediction.height,
        ):  # fmt: skip
            raise _changed(parts, "give another grid than the map's")
        shifts = parts.prediction.shifts
        yield replace(imagery, shifts=ShiftField.from_geojson(shifts.read(store)) if shifts else None)


def _given_grid(parts: MapParts) -> Grid | None:
    """Returns the grid of a map that does not follow from its images alone; None where it does."""
    if parts.prediction.area is None and parts.params.gsd is None:
        return None
    return grid_of(parts.prediction)


def _find(parts: MapParts, store: ObjectStore) -> MapTask:
    told = parts.prediction.origin.inputs.get("place", "")
    places = _places(told)
    before, after = _images(parts, "pre", parts.made.pre, store), _images(parts, "post", parts.made.post, store)
    if places or not told:
        # A catalogued scene's place came from the catalog; what lies beside its images was not looked at.
        before, after = tuple(map(_alone, before)), tuple(map(_alone, after))
    made, disaster_type = parts.made, parts.prediction.disaster_type
    task = MapTask(before, after, places, made.event, made.model, disaster_type, parts.params.crs)
    if task.imagery_inputs()["place"] != told:
        raise _changed(parts, "have another georeference now")
    return task


def _alone(image: FoundImage) -> FoundImage:
    return replace(image, label=None, label_identity="", beside=())


def _images(parts: MapParts, date: Date, names: tuple[str, ...], store: ObjectStore) -> tuple[FoundImage, ...]:
    wanted = parts.prediction.origin.inputs.get(date)
    try:
        found = find_images(names, date, store)
    except SiameseError:
        found = ()
    if found and identity(found) == wanted:
        return found
    if len(names) == 1:
        for scene in _scenes(store):
            image = scene.pre_image if date == "pre" else scene.post_image
            if image is not None and identity([catalogued(image)]) == wanted:
                return (catalogued(image),)
    elif len(found := _of_scenes(names, date, store)) == len(names) and identity(found) == wanted:
        return found
    raise _changed(parts, f"are missing or have changed ({date}: {names[0]}{', …' if len(names) > 1 else ''})")


def _of_scenes(names: tuple[str, ...], date: Date, store: ObjectStore) -> tuple[FoundImage, ...]:
    """Returns those images of the latest catalog that bear the names of a mosaic's images, in the names' order."""
    scenes = [scene for scene in _scenes(store) if scene.pre_image is not None and scene.post_image is not None]
    images = {image.name: image for image in scene_images(scenes, date)}
    return tuple(images[name] for name in names if name in images)


def _scenes(store: ObjectStore) -> Iterator[Scene]:
    try:
        yield from read_catalog(store, SceneCatalog.latest(store))
    except NotPublishedError:
        return


def _places(text: str) -> tuple[Place, ...]:
    """Returns the georeferences that the map of catalogued scenes was given; none where images carry their own."""
    found = [_PLACE.fullmatch(line) for line in text.split(PLACES_APART)]
    return tuple((one["crs"], Affine(*map(float, one["numbers"].split(",")))) for one in found if one)


def _changed(parts: MapParts, how: str) -> SiameseError:
    fix = "put them back where they were, or map the event again"
    return SiameseError(f"its images {how}", where=f"map {parts.made.digest} ({parts.made.event})", fix=fix)
