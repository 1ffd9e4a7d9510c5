"""The verb ``map``: turns a pair of images, or of mosaics, into a published damage map.

There are three steps, each stored on the bucket under its own digest: the network predicts
(:mod:`siamese.mapping.predict`), buildings are decided (:mod:`siamese.mapping.decide`), and files are published
(:mod:`siamese.mapping.publish`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import date
from functools import cache

from siamese.errors import NotPublishedError, SiameseError
from siamese.ingest.catalog import Scene
from siamese.manifests import Checkpoint, DamageMap
from siamese.mapping.area import find_area
from siamese.mapping.decide import find_buildings
from siamese.mapping.disasters import Disaster, place_of
from siamese.mapping.events import check_event, xbd_scene
from siamese.mapping.inputs import catalogued, find_images, scene_images
from siamese.mapping.predict import predict
from siamese.mapping.publish import publish_map
from siamese.mapping.running import PairPredictor
from siamese.mapping.shape_files import find_shapes
from siamese.mapping.spread import Spread
from siamese.mapping.stac import Wanted
from siamese.mapping.stage import WHOLE_MAP
from siamese.mapping.survey import Learned
from siamese.mapping.task import Imagery, MapTask, open_imagery
from siamese.mapping.trust import background
from siamese.mapping.workplace import workplace
from siamese.params import BuildingParams, MappingParams, PredictParams, PublishParams
from siamese.store import ObjectStore
from siamese.store.stage import Input


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
    spread: Spread | None = None,
    reuse_older: bool = True,
    aoi: str | None = None,
    footprints: str | None = None,
    disaster_date: date | None = None,
) -> DamageMap:
    """Maps damage from images before and after a disaster.

    Args:
        pre: Files, folders, globs or s3:// addresses of PNG or GeoTIFF before it, one or several tiles.
        post: The same after it; on any grid, as long as it shows the same place.
        checkpoint: The network.
        params: Windows and minimum building size.
        store: Object storage; the map goes to the bucket ``maps``.
        further: More networks; the probabilities of all are averaged.
        event: Name of the disaster; by default that of an xBD scene, else the map's location.
        disaster_type: Type of the disaster, for networks that were trained with it; see
            :data:`siamese.classes.DISASTER_TYPES`.
        model: Name of the model that the map states; by default the checkpoint's digest.
        predictor: The checkpoint's network (or the ensemble), when it is loaded already.
        spread: Processes that windows are spread over; by default as the params say, for this map alone.
        reuse_older: Take results that earlier versions of the stages made; false makes them again.
        aoi: Area of interest: a file, object or ``https://`` address of polygons, or ``west,south,east,north`` in
            degrees.
        footprints: File, object, ``https://`` address or folder of building footprints; each gets a class or is
            unknown.
        disaster_date: Day of the disaster. Of STAC catalogs, items from before it are read for the pre images, later
            ones for the post images.

    Returns:
        The map; an existing one if these images were already mapped with this network and these params.

    Raises:
        SiameseError: An image is missing, damaged or has the wrong bands, only one date has a georeference, the
            dates show different places, or the event has a name that cannot be used.
    """
    if event is not None:
        check_event(event)
    area = find_area(aoi, store) if aoi is not None else None
    wanted = Wanted(bounds=area.bounds(store) if area else None, asset=params.asset)
    before = find_images(pre, "pre", store, replace(wanted, before=disaster_date))
    after = find_images(post, "post", store, replace(wanted, since=disaster_date))
    checkpoints = [checkpoint, *further]
    named = event or xbd_scene(before[0].name)
    task = MapTask(
        before,
        after,
        (),
        named,
        model or _named(checkpoints),
        disaster_type,
        params.crs,
        reuse_older,
        area=area,
        footprints=find_shapes(footprints, "--footprints", store) if footprints is not None else None,
    )
    return _map(task, checkpoints, params, store, predictor, spread)


def map_scene(
    scene: Scene,
    checkpoint: Checkpoint,
    params: MappingParams,
    store: ObjectStore,
    *,
    further: Sequence[Checkpoint] = (),
    model: str | None = None,
    predictor: PairPredictor | None = None,
    spread: Spread | None = None,
    reuse_older: bool = True,
) -> DamageMap:
    """Maps one catalogued scene, whose images may be separate objects or members of archives.

    Args:
        scene: A row of the catalog.
        checkpoint: The network.
        params: Windows and least building.
        store: Where scene and map lie.
        further: More networks; all their probabilities are averaged.
        model: Name of the model that the map states; by default the checkpoints' digests.
        predictor: The checkpoint's network (or the ensemble), when it is loaded already.
        spread: Processes that windows are spread over; by default as the params say, for this map alone.
        reuse_older: Take results that earlier versions of the stages made; false makes them again.

    Raises:
        SiameseError: The scene lacks an image, or an image has changed since it was ingested.
    """
    if scene.pre_image is None or scene.post_image is None:
        raise SiameseError("has not both images", where=scene.scene, fix="map a scene that is not quarantined")
    place = place_of(scene)
    before = (catalogued(scene.pre_image, scene.pre_date),)
    after = (catalogued(scene.post_image, scene.post_date),)
    checkpoints = [checkpoint, *further]
    task = MapTask(
        before,
        after,
        (place,) if place else (),
        scene.scene,
        model or _named(checkpoints),
        scene.disaster_type,
        params.crs,
        reuse_older,
    )
    return _map(task, checkpoints, params, store, predictor, spread)


def map_disaster(
    disaster: Disaster,
    checkpoint: Checkpoint,
    params: MappingParams,
    store: ObjectStore,
    *,
    further: Sequence[Checkpoint] = (),
    model: str | None = None,
    predictor: PairPredictor | None = None,
    spread: Spread | None = None,
    reuse_older: bool = True,
    aoi: str | None = None,
    footprints: str | None = None,
    disaster_type: str | None = None,
) -> DamageMap:
    """Maps all catalogued scenes of a disaster as one mosaic, under the disaster's name.

    A scene that comes later enlarges the map: windows that it does not touch are not predicted again.

    Args:
        disaster: Its scenes, all of which have a georeference.
        checkpoint: The network.
        params: Windows and least building.
        store: Where scenes and map lie.
        further: More networks; all their probabilities are averaged.
        model: Name of the model that the map states; by default the checkpoints' digests.
        predictor: The checkpoint's network (or the ensemble), when it is loaded already.
        spread: Processes that windows are spread over; by default as the params say, for this map alone.
        reuse_older: Take results that earlier versions of the stages made; false makes them again.
        aoi: Area of interest; see :func:`map_pair`.
        footprints: Building footprints; see :func:`map_pair`.
        disaster_type: By default the one that all scenes state.

    Raises:
        SiameseError: The scenes lie so far apart that they are no mosaic, or an image has changed since it was
            ingested.
    """
    checkpoints = [checkpoint, *further]
    task = MapTask(
        scene_images(disaster.scenes, "pre"),
        scene_images(disaster.scenes, "post"),
        tuple(place for scene in disaster.scenes if (place := place_of(scene))),
        disaster.name,
        model or _named(checkpoints),
        disaster_type or disaster.type,
        params.crs,
        reuse_older,
        area=find_area(aoi, store) if aoi is not None else None,
        footprints=find_shapes(footprints, "footprints", store) if footprints is not None else None,
    )
    return _map(task, checkpoints, params, store, predictor, spread)


def _map(
    task: MapTask,
    checkpoints: Sequence[Checkpoint],
    params: MappingParams,
    store: ObjectStore,
    predictor: PairPredictor | None,
    spread: Spread | None,
) -> DamageMap:
    if task.reuse_older and (found := _made_in_one_step(task, checkpoints, params, store)):
        return found
    with workplace(store) as folder:

        @cache
        def learned() -> Learned | None:
            found, _ = background(store, checkpoints[0].digest)
            return found.gsd if found else None

        @cache
        def imagery(bands: tuple[int, int]) -> Imagery:
            gsd = _pixel_side(params, learned)
            return open_imagery(
                task,
                bands,
                folder,
                store,
                params.value_range,
                gsd=gsd,
                footprint_id=params.footprint_id,
                orders=params.band_orders,
            )

        how = params.part(PredictParams)
        with nullcontext(spread) if spread is not None else Spread(how, store) as processes:
            prediction = predict(task, checkpoints, how, store, imagery, predictor, learned, processes)
        buildings = find_buildings(prediction, params.part(BuildingParams), store, reuse_older=task.reuse_older)
        return publish_map(task, prediction, buildings, params.part(PublishParams), store, imagery)


def _pixel_side(params: MappingParams, learned: Callable[[], Learned | None]) -> float | None:
    """Returns the side of the map's pixels in metres; None for that of the finer date.

    Raises:
        SiameseError: The side that the network learned was asked for, and nobody knows it.
    """
    if params.gsd != "learned":
        return params.gsd
    found = learned()
    if found is None:
        what = "is not known: the pair set or catalog that the model was trained on is gone, or has no georeference"
        raise SiameseError(what, where="mapping.gsd: learned", fix="give the pixels of the map in metres")
    return found.median


def _made_in_one_step(
    task: MapTask, checkpoints: Sequence[Checkpoint], params: MappingParams, store: ObjectStore
) -> DamageMap | None:
    """Returns the same map made by an earlier version, if it is the event's current one, so that it is not redone."""
    if task.event is None:
        return None
    inputs: dict[str, Input] = {**task.imagery_inputs(), "event": task.event, "checkpoint": checkpoints[0]}
    inputs["disaster_type"] = task.disaster_type or ""
    if further := checkpoints[1:]:
        inputs["further"] = further
    try:
        current = DamageMap.current(store, task.event)
    except NotPublishedError:
        return None
    if current.prediction is not None:
        return None
    return current if WHOLE_MAP.same_work(current, WHOLE_MAP.plan(inputs=inputs, params={"mapping": params})) else None


def _named(checkpoints: Sequence[Checkpoint]) -> str:
    return " + ".join(f"checkpoint {one.digest}" for one in checkpoints)
