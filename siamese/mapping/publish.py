"""The third step of a map: writes the files that people open from its buildings, without the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Self

from siamese.geo import local_gdal
from siamese.manifests import Alignment, BuildingSet, DamageMap, Evaluation, Prediction
from siamese.mapping.areas import bring_areas
from siamese.mapping.buildings import read_buildings
from siamese.mapping.decide import grid_of
from siamese.mapping.events import place_event
from siamese.mapping.facts import facts_of
from siamese.mapping.grid import Grid
from siamese.mapping.mosaic import Image
from siamese.mapping.picture import Paper, Readable, draw_picture
from siamese.mapping.predict import OpenImagery
from siamese.mapping.rasters import describe_copy
from siamese.mapping.reasons import COLOURS, Reason
from siamese.mapping.shifts import ShiftField
from siamese.mapping.stage import DAMAGE_MAP
from siamese.mapping.task import Imagery, MapTask
from siamese.mapping.tiles import GDAL
from siamese.mapping.trust import state_trust
from siamese.mapping.vectors import BuildingWriter
from siamese.mapping.workplace import workplace
from siamese.params import PublishParams
from siamese.products.chips import ReadSquare
from siamese.products.known_error import KnownError
from siamese.products.make import MapSources, Reasons, make_products
from siamese.products.rasters import write_cog
from siamese.products.shelf import put_products
from siamese.products.stac import ASSETS
from siamese.progress import progress
from siamese.store import Blob, ObjectStore, S3Uri, put_blob, put_file
from siamese.store.stage import Input


def publish_map(
    task: MapTask,
    prediction: Prediction,
    buildings: BuildingSet,
    params: PublishParams,
    store: ObjectStore,
    imagery: OpenImagery,
) -> DamageMap:
    """Publishes a map.

    Args:
        task: The mapped images.
        prediction: The network's output.
        buildings: Buildings found in the prediction.
        params: Threshold for review, and the picture's size.
        store: Object storage; the map goes to the bucket ``maps``.
        imagery: Opens the task's images; called only if needed.

    Raises:
        SiameseError: An object is missing or damaged.
    """
    grid = grid_of(prediction)
    event = task.event or place_event(task.pre[0], grid)
    about = MapSubject(
        event,
        task.model,
        tuple(image.name for image in task.pre),
        tuple(image.name for image in task.post),
        dates=task.dates,
    )

    def opened() -> BothDates:
        shifts = ShiftField.from_geojson(prediction.shifts.read(store)) if prediction.shifts else None
        return BothDates.of(replace(imagery(prediction.bands), shifts=shifts))

    return publish_about(
        about,
        prediction,
        buildings,
        params,
        store,
        opened,
        task.imagery_inputs(),
        reuse_older=task.reuse_older,
    )


@dataclass(frozen=True)
class BothDates:
    """The images of a map."""

    pre: Readable
    post: Readable

    @classmethod
    def of(cls, imagery: Imagery) -> Self:
        """Returns both dates as a person should see them: post images where they show the ground of the pre images."""
        return cls(imagery.pre.mosaic, imagery.aligned_post)


@dataclass(frozen=True)
class MapSubject:
    """What a map is of and how it came about, as its manifest states it."""

    event: str
    model: str
    pre: tuple[str, ...]
    """Names of the images before the disaster."""
    post: tuple[str, ...]
    parent: str | None = None
    """Digest of the map that it was adapted from."""
    labels: tuple[str, ...] = ()
    """Digests of the label sets that it was adapted with."""
    warnings: tuple[str, ...] = ()
    """Beside those of the prediction."""
    dates: tuple[datetime | None, datetime | None] = (None, None)
    """When the first image before and the last one after the disaster were taken."""


def publish_about(
    about: MapSubject,
    prediction: Prediction,
    buildings: BuildingSet,
    params: PublishParams,
    store: ObjectStore,
    open_images: Callable[[], BothDates | None],
    identities: Mapping[str, str],
    *,
    reuse_older: bool = True,
) -> DamageMap:
    """Publishes a map whose images were named and identified before.

    Args:
        about: Names, parentage and dates that the manifest states.
        prediction: The network's output.
        buildings: The buildings, whoever decided their classes.
        params: Threshold for review, and the picture's size.
        store: Object storage; the map goes to the bucket ``maps``.
        open_images: Opens the images of both dates, for pictures; called only if needed. None where they are gone.
        identities: Identities of the images and their georeference.
        reuse_older: Take what an earlier version of the stage made.

    Raises:
        SiameseError: An object is missing or damaged.
    """
    inputs: dict[str, Input] = {"prediction": prediction, "buildings": buildings, **identities}
    inputs |= {"event": about.event, "model": about.model}
    if about.labels:
        inputs["labels"] = " ".join(about.labels)
    if buildings.footprints:
        # Maps with footprints were published with another confidence before, which is not to be found again.
        inputs["confidence"] = "of the class alone where a footprint was given"
    areas = bring_areas(params, prediction.crs, store)
    if areas is not None:
        inputs["areas"] = areas.identity
    origin = DAMAGE_MAP.plan(inputs=inputs, params={"mapping": params})
    if found := DAMAGE_MAP.find(store, origin, older=reuse_older):
        return found
    grid = grid_of(prediction)
    with workplace(store) as folder, progress("publish map", 4) as advance:
        classes = _brought(buildings.classes, folder / "classes.tif", store)
        table = _brought(buildings.table, folder / "found.parquet", store)
        files = write_files(grid, classes, table, params, folder, event=about.event, model=about.model)
        advance(note="files")
        images = open_images()
        picture = draw_picture(
            grid,
            images.post if images else Paper(),
            files.classes,
            read_buildings(table),
            buildings.counts,
            params.picture_px,
            event=about.event,
            model=about.model,
        )
        advance(note="picture")
        target = store.maps / origin.digest
        aside = alignment_of(buildings.shifts, grid, store)
        draft = DamageMap(
            origin=origin,
            event=about.event,
            model=about.model,
            checkpoint=prediction.checkpoint,
            further=prediction.further,
            classes=put_file(store, target, "damage.tif", files.classes),
            buildings=put_file(store, target, "buildings.parquet", files.buildings),
            geojson=put_file(store, target, "buildings.geojson", files.geojson),
            picture=put_blob(store, target, "picture.png", picture, "image/png"),
            counts=buildings.counts,
            crs=grid.crs,
            bounds=grid.degrees(),
            width=grid.width,
            height=grid.height,
            unknown_share=buildings.unknown_share,
            pre=about.pre,
            post=about.post,
            taken=about.dates,
            prediction=prediction.digest,
            building_set=buildings.digest,
            steps={made.origin.stage: made.origin.version for made in (prediction, buildings)},
            parent=about.parent,
            labels=about.labels,
            trust=state_trust(prediction, buildings, files.review_share, store),
            alignment=alignment_of(prediction.shifts, grid, store),
            footprint_alignment=aside,
            warnings=(*prediction.warnings, *_footprint_notes(aside), *about.warnings),
        )
        evaluation = _evaluation(draft, store)
        facts = facts_of(draft, store, prediction, buildings, evaluation=evaluation)
        sources = MapSources(
            files.classes,
            files.buildings,
            picture,
            read=reader(images, grid) if images else None,
            known=KnownError.of(evaluation, store) if evaluation else None,
            reasons=bring_reasons(buildings, folder, store),
            areas=areas.read(store, folder) if areas else None,
            shifts=bring_shifts(prediction, buildings, folder, store),
        )
        made = make_products(facts, sources, params.h3_resolution, folder)
        advance(note="products")
        published = draft.model_copy(update={"products": put_products(facts, made, target, store)}).publish(store)
        advance(note=about.event)
        return published


@dataclass(frozen=True)
class MapFiles:
    """Files of a map on local disk."""

    classes: Path
    """Cloud-optimised GeoTIFF."""
    buildings: Path
    """GeoParquet."""
    geojson: Path
    review_share: float | None = None
    """Share of the buildings that are marked for review; None without buildings."""


def write_files(
    grid: Grid, classes: Path, table: Path, params: PublishParams, folder: Path, *, event: str, model: str
) -> MapFiles:
    """Writes the raster and the vectors of a map; the same map gives the same bytes.

    Args:
        grid: Pixels of the map.
        classes: GeoTIFF with the class of every pixel.
        table: The buildings, as :func:`siamese.mapping.buildings.write_buildings` writes them.
        params: Threshold for review.
        folder: Folder for the files; working files stay there.
        event: Written into the raster.
        model: Written into the raster.
    """
    files = MapFiles(folder / "damage.tif", folder / "buildings.parquet", folder / "buildings.geojson")
    with local_gdal(**GDAL):
        described = folder / "described.tif"
        describe_copy(classes, described, grid, model, event)
        write_cog(described, files.classes)
    with BuildingWriter(files.buildings, files.geojson, grid, event, review_below=params.review_below) as writer:
        for building in read_buildings(table):
            writer.add(building)
    whole = sum(writer.counts.values())
    return replace(files, review_share=writer.reviewed / whole if whole else None)


def alignment_of(shifts: Blob | None, grid: Grid, store: ObjectStore) -> Alignment | None:
    """Returns the summary of a layer of shifts; None without one."""
    if shifts is None:
        return None
    field = ShiftField.from_geojson(shifts.read(store))
    right, down, length = field.median_px
    known = bool(field.trusted)
    applied = any(field.at(one.row, one.col) != (0.0, 0.0) for one in field.trusted)
    return Alignment(
        blocks=len(field.blocks),
        trusted=len(field.trusted),
        applied=applied,
        right_px=right if known else None,
        down_px=down if known else None,
        length_px=length if known else None,
        length_m=length * grid.side_m() if known and grid.crs is not None else None,
    )


def _footprint_notes(aside: Alignment | None) -> tuple[str, ...]:
    """Describes the shift of the images against the footprints, in one line; nothing where none was applied."""
    if aside is None or not aside.applied:
        return ()
    metres = f" ({aside.length_m:.1f} m)" if aside.length_m is not None else ""
    blocks = f"{aside.trusted} of {aside.blocks} blocks"
    return (
        f"the images are shifted by {aside.length_px:.1f} px{metres} against the footprints ({blocks}) and were "
        "aligned",
    )


def bring_reasons(buildings: BuildingSet, folder: Path, store: ObjectStore) -> Reasons | None:
    """Brings the raster of reasons why pixels are unknown; None where they were not looked for."""
    if buildings.reasons is None:
        return None
    return Reasons(
        _brought(buildings.reasons, folder / "reasons-found.tif", store),
        {reason.value: reason.word for reason in Reason if reason},
        {reason.value: colour for reason, colour in COLOURS.items() if reason},
    )


def bring_shifts(
    prediction: Prediction | None, buildings: BuildingSet | None, folder: Path, store: ObjectStore
) -> dict[str, Path]:
    """Brings the layers of shifts, by their names in :data:`siamese.products.stac.ASSETS`; none where none was made."""
    layers = {
        "shifts": prediction.shifts if prediction else None,
        "footprint_shifts": buildings.shifts if buildings else None,
    }
    return {name: _brought(blob, folder / ASSETS[name].file, store) for name, blob in layers.items() if blob}


def _evaluation(made: DamageMap, store: ObjectStore) -> Evaluation | None:
    """Returns the evaluation that the map's statement of trust names; None of an ensemble, which is another model."""
    if made.trust is None or made.trust.evaluation is None or made.further:
        return None
    return Evaluation.load(store, made.trust.evaluation)


def reader(images: BothDates, grid: Grid) -> ReadSquare:
    """Returns a function that reads squares of both dates on a map's grid."""

    def read(row: int, col: int, side: int) -> tuple[Image, Image]:
        square = grid.window(row, col, side, side)
        return images.pre.read(square)[0], images.post.read(square)[0]

    return read


def _brought(blob: Blob, path: Path, store: ObjectStore) -> Path:
    store.download(S3Uri.parse(blob.uri), path)
    return path
