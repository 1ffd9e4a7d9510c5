"""Batch production of damage maps: of scenes under a prefix, of whole disasters, or of imagery that is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, TypedDict

from prefect import State, flow
from prefect.states import Completed

from flows.ingest import ingest_scenes
from flows.report import publish_maps
from flows.steps import Overrides, begin_run, join_run, step
from siamese.allocator import keep_few_arenas
from siamese.errors import SiameseError, TransientError
from siamese.manifests import Checkpoint, DamageMap, LabelSet, SceneCatalog
from siamese.mapping.request import MapRequest, Per
from siamese.parallel import ordered_map
from siamese.params import Params, PublishParams
from siamese.progress import LOGGER, progress
from siamese.store import ObjectStore, S3Uri

if TYPE_CHECKING:
    from siamese.mapping.spread import Spread

BATCH = 32
CHAMPION = "models:/siamese-damage@champion"
_TOGETHER = 2
_SMALL_PX = 4 * 2**20
"""Scenes of up to this many pixels are mapped several at once; larger ones keep all cores busy, and take memory."""


class ResolvedModel(TypedDict):
    """The model used throughout a run, even if its alias moves in the meantime."""

    name: str
    """For people: name and version."""
    checkpoints: list[str]
    """Digests; their probabilities are averaged."""


class ChosenScenes(TypedDict):
    """Scenes to map, and scenes that cannot be mapped."""

    scenes: list[str]
    """Names of those that get a map of their own, the most needed first."""
    disasters: dict[str, list[str]]
    """Names of the scenes that become one map, by the map's name, the most needed first."""
    quarantined: dict[str, str]
    """Why a scene under the source was refused at ingest, by scene."""
    failures: dict[str, str]
    """Why a scene or disaster that was asked for cannot be mapped, by its name."""
    notes: dict[str, str]
    """Why a scene is not part of its disaster's map, by scene."""


class MappedBatch(TypedDict):
    """The maps of a batch of events."""

    maps: list[str]
    """Digests."""
    failures: dict[str, str]
    """Why there is no map, by event."""
    not_adapted: dict[str, str]
    """Why a map could not be adapted to the labels that there are, by event."""
    notes: dict[str, str]
    """Which labels could not be used, by event."""


class PublishedPages(TypedDict):
    """The pages of maps."""

    pages: dict[str, str]
    """Digest of the MapPage, by that of its map."""
    notes: dict[str, str]
    """Why a map has none, by event."""


@step
def settle_models(models: list[str]) -> ResolvedModel:
    """Resolves the models' names to their current checkpoints and checks the weights."""
    from siamese.registry import model_name, resolve_model

    store = ObjectStore()
    checkpoints = [resolve_model(model, store) for model in models]
    name = " + ".join(model_name(model, one, store) for model, one in zip(models, checkpoints, strict=True))
    return {"name": name, "checkpoints": [one.digest for one in checkpoints]}


@step
def choose_scenes(
    catalog: str,
    asked: list[str] | None,
    event: str | None = None,
    per: Per = "scene",
    aoi: str | None = None,
) -> ChosenScenes:
    """Picks the scenes to map: the requested ones, or all with both images; new disasters before the archive."""
    from siamese.ingest.catalog import read_catalog
    from siamese.mapping.area import find_area
    from siamese.mapping.disasters import NOT_PLACED, by_disaster, within
    from siamese.mapping.events import disaster_of
    from siamese.mapping.queue import in_order_of_need

    store = ObjectStore()
    found = SceneCatalog.load(store, catalog)
    rows = [
        row
        for row in read_catalog(store, found)
        if (asked is None or row.scene in asked) and (event is None or row.disaster == event)
    ]
    quarantined = {row.scene: "; ".join(row.reasons) for row in rows if row.verdict == "quarantined"}
    written = {str(info.uri): info.modified for info in store.list(S3Uri.parse(found.source)) if info.modified}
    usable = [row for row in rows if row.verdict != "quarantined"]
    mapped = DamageMap.mapped_events(store)
    failures = {}
    if asked is not None:
        absent = set(asked) - {row.scene for row in rows}
        failures = dict.fromkeys(sorted(absent), f"there is no such scene under {found.source}")
        failures |= {scene: f"quarantined: {reasons}" for scene, reasons in quarantined.items()}
    if event is not None and not rows and not failures:
        failures[event] = f"there is no scene of this disaster under {found.source}"
    chosen: ChosenScenes = {
        "scenes": [], "disasters": {}, "quarantined": quarantined, "failures": failures, "notes": {},
    }  # fmt: skip
    if per == "scene":
        chosen["scenes"] = [row.scene for row in in_order_of_need(usable, mapped, written)]
        return chosen
    struck = {disaster_of(name) for name in mapped}
    there = within(usable, find_area(aoi, store).bounds(store) if aoi is not None else None)
    if aoi is not None and not any(row.bounds for row in there):
        failures[aoi] = f"no scene under {found.source} lies in this area of interest"
    disasters, alone = by_disaster(in_order_of_need(there, struck, written, lambda row: row.disaster))
    chosen["disasters"] = {one.name: [scene.scene for scene in one.scenes] for one in disasters}
    chosen["scenes"] = [scene.scene for scene in alone]
    chosen["notes"] = {scene.scene: NOT_PLACED for scene in alone}
    return chosen


@step
def map_batch(run: str, catalog: str, scenes: list[str], model: ResolvedModel, *, adapt: bool = True) -> MappedBatch:
    """Maps a batch of scenes, loading the networks at most once; a scene that fails does not hold up the others."""
    from flows.windows import spread_over_tasks
    from siamese.ingest.catalog import read_catalog
    from siamese.mapping import map_scene
    from siamese.model import DeferredPredictor

    store, params = join_run(run)
    found = {row.scene: row for row in read_catalog(store, SceneCatalog.load(store, catalog)) if row.scene in scenes}
    first, *further = checkpoints = [Checkpoint.load(store, digest) for digest in model["checkpoints"]]
    predictor = DeferredPredictor(store, *checkpoints, expected_pairs=len(scenes), flips=params.mapping.flips)
    with spread_over_tasks(params.mapping, store) as spread:
        by_model = partial(
            map_scene,
            further=further,
            model=model["name"],
            predictor=predictor,
            spread=spread,
            reuse_older=not params.runs.redo_older,
        )
        jobs = {scene: partial(by_model, found[scene], first, params.mapping, store) for scene in scenes}
        largest = max(((row.width or 0) * (row.height or 0) for row in found.values()), default=0)
        together = _TOGETHER if largest <= _SMALL_PX and not spread.is_worth_it(2) else 1
        return _map_each("map scenes", jobs, params, store, adapt=adapt, together=together)


@step
def map_whole(
    run: str, catalog: str, disaster: str, scenes: list[str], model: ResolvedModel, request: MapRequest, *, adapt: bool
) -> MappedBatch:
    """Maps scenes of a disaster, or of a part of it, as one mosaic."""
    from flows.windows import spread_over_tasks
    from siamese.ingest.catalog import read_catalog
    from siamese.mapping import map_disaster
    from siamese.mapping.disasters import Disaster

    store, params = join_run(run)
    rows = [row for row in read_catalog(store, SceneCatalog.load(store, catalog)) if row.scene in scenes]
    whole = Disaster(disaster, tuple(sorted(rows, key=lambda row: row.scene)))
    with spread_over_tasks(params.mapping, store) as spread:
        verb = _as_asked(map_disaster, request, model, params, store, spread)
        return _map_each("map disasters", {disaster: partial(verb, whole)}, params, store, adapt=adapt)


@step
def map_imagery(run: str, model: ResolvedModel, request: MapRequest, *, adapt: bool) -> MappedBatch:
    """Maps imagery that was named; headers are read before anything else."""
    from flows.windows import spread_over_tasks
    from siamese.mapping import map_pair
    from siamese.mapping.area import find_area
    from siamese.mapping.inputs import check_files
    from siamese.mapping.shape_files import find_shapes

    store, params = join_run(run)
    pre, post = list(request.pre or ()), list(request.post or ())
    check_files(pre, post, store)
    if request.aoi is not None:
        find_area(request.aoi, store)
    if request.footprints is not None:
        find_shapes(request.footprints, "footprints", store)
    with spread_over_tasks(params.mapping, store) as spread:
        verb = _as_asked(map_pair, request, model, params, store, spread)
        job = partial(verb, pre, post, event=request.event, disaster_date=request.disaster_date)
        return _map_each("map imagery", {request.event or pre[0]: job}, params, store, adapt=adapt)


def _as_asked(
    verb: Callable[..., DamageMap],
    request: MapRequest,
    model: ResolvedModel,
    params: Params,
    store: ObjectStore,
    spread: Spread,
) -> Callable[..., DamageMap]:
    """Returns a verb that makes one map, with everything given that does not depend on what is mapped."""
    first, *further = [Checkpoint.load(store, digest) for digest in model["checkpoints"]]

    def make(*what: object, **about: object) -> DamageMap:
        return verb(
            *what,
            first,
            params.mapping,
            store,
            further=further,
            model=model["name"],
            spread=spread,
            reuse_older=not params.runs.redo_older,
            aoi=request.aoi,
            footprints=request.footprints,
            disaster_type=request.disaster_type,
            **about,
        )

    return make


def _map_each(
    title: str,
    jobs: Mapping[str, Callable[[], DamageMap]],
    params: Params,
    store: ObjectStore,
    *,
    adapt: bool,
    together: int = 1,
) -> MappedBatch:
    """Makes maps and adapts them to the labels that there are; each becomes its event's current map.

    With several together, the network runs on one map while another is read or published.
    """
    keep_few_arenas()
    done: MappedBatch = {"maps": [], "failures": {}, "not_adapted": {}, "notes": {}}
    sets = LabelSet.every(store) if adapt else ()

    def make(event: str) -> str | SiameseError:
        try:
            return _adapted(jobs[event](), sets, params, store, done).digest
        except TransientError:
            raise
        except SiameseError as error:
            return error

    with ThreadPoolExecutor(together, "map") as pool, progress(title, len(jobs)) as advance:
        for event, made in zip(jobs, ordered_map(pool, make, jobs, ahead=together), strict=True):
            if isinstance(made, SiameseError):
                done["failures"][event] = str(made)
                LOGGER.error(f"{event} has no map: {made}")
            else:
                done["maps"].append(made)
            advance(note=event)
    return done


def _adapted(
    made: DamageMap, sets: tuple[LabelSet, ...], params: Params, store: ObjectStore, done: MappedBatch
) -> DamageMap:
    """Returns the map that is current from now on: adapted, if there are labels."""
    from siamese.adaptation.verb import adapt_to_kept

    try:
        adapted, notes = adapt_to_kept(made, params.adaptation, params.embedding, params.mapping, store, sets=sets)
    except TransientError:
        raise
    except SiameseError as error:
        done["not_adapted"][made.event] = str(error)
        LOGGER.error(f"{made.event} is not adapted to its labels: {error}")
        adapted, notes = made, ()
    if notes:
        done["notes"][made.event] = "; ".join(notes)
    # What people have corrected stays current until the new map can learn it too.
    if made.event not in done["not_adapted"] or made.event not in DamageMap.mapped_events(store):
        adapted.mark_current(store)
    return adapted


@step
def publish_pages(run: str, maps: list[str]) -> PublishedPages:
    """Publishes the page of each map that is small enough, with the vectors that it learns from labels with."""
    from siamese.adaptation.lineage import root_of
    from siamese.embedding import embed_map
    from siamese.reporting import current_products
    from siamese.viewing.publishing import publish_page, why_no_page
    from siamese.viewing.verb import ViewParams

    store, params = join_run(run)
    done: PublishedPages = {"pages": {}, "notes": {}}
    wanted = ViewParams(params.adaptation, params.embedding)
    with progress("pages", len(maps)) as advance:
        for digest in maps:
            made = DamageMap.load(store, digest)
            if why := why_no_page(made):
                done["notes"][made.event] = f"has no page in one file: {why}"
                continue
            try:
                embed_map(root_of(made, store), params.embedding, store)
                files = current_products(made, params.mapping.part(PublishParams), store)
                if page := publish_page(made, files, wanted, store):
                    done["pages"][digest] = page.digest
            except TransientError:
                raise
            except SiameseError as error:
                done["notes"][made.event] = f"has no page: {error}"
                LOGGER.error(f"{made.event} has no page: {error}")
            advance(note=made.event)
    return done


@flow(name="damage_map", persist_result=True, result_serializer="json")
def damage_map(
    source: str | None = None,
    scenes: list[str] | None = None,
    model: str = CHAMPION,
    further: list[str] | None = None,
    per: Per = "scene",
    pre: list[str] | None = None,
    post: list[str] | None = None,
    event: str | None = None,
    disaster_type: str | None = None,
    disaster_date: date | None = None,
    aoi: str | None = None,
    footprints: str | None = None,
    adapt: bool = True,
    pages: bool | None = None,
    overrides: Overrides | None = None,
    run: str | None = None,
) -> State[dict[str, object]]:
    """Publishes damage maps of scenes under a prefix, or of named imagery; maps that exist already are reused.

    Args:
        source: Prefix of the scenes, ``s3://…``; by default ``ingest.source`` of the published params.
        scenes: Only these, by name (``disaster_number``); by default all that are not quarantined.
        model: MLflow model URI, or the digest of a checkpoint. It is resolved once, when the run begins.
        further: Additional models, whose probabilities are averaged with those of ``model``.
        per: ``scene``: a map of each scene. ``disaster``: one map of all its scenes that have a georeference, or
            several where these lie far apart; others are mapped one by one.
        pre: In place of scenes, imagery before a disaster: prefixes, objects, STAC items, collections or catalogs, as
            `siamese map` takes them.
        post: The same after it.
        event: With pre and post, the name of their map; by default made from its location. Otherwise: only scenes of
            this disaster.
        disaster_type: What struck, for networks that were trained with it; by default what the scenes say.
        disaster_date: Day of the disaster: of STAC catalogs, items from before it are read for pre, later ones for
            post.
        aoi: Area of interest: address of polygons, or ``west,south,east,north`` in degrees.
        footprints: Address of building footprints, each of which gets a class or is unknown.
        adapt: Adapt each map to the labels of its disaster that people have handed in, and make that map current.
        pages: Publish each map's page too, as one HTML file; by default of disasters and named imagery.
        overrides: Changes to the published params for this run.
        run: Digest of a RunSpecification to use instead of source and overrides.

    Returns:
        The final state, whose message counts maps and quarantined scenes; its result names them all.

    Raises:
        SiameseError: Parameters contradict each other; or some maps could not be made or not be adapted to labels, all
            others were.
    """
    request = MapRequest(
        source=source,
        scenes=tuple(scenes) if scenes is not None else None,
        per=per,
        pre=tuple(pre) if pre is not None else None,
        post=tuple(post) if post is not None else None,
        event=event,
        disaster_type=disaster_type,
        disaster_date=disaster_date,
        aoi=aoi,
        footprints=footprints,
    )
    run = begin_run(overrides, source, run)
    settled = settle_models([model, *(further or ())])
    chosen: ChosenScenes = {"scenes": [], "disasters": {}, "quarantined": {}, "failures": {}, "notes": {}}
    if request.names_imagery:
        batches = [map_imagery(run, settled, request, adapt=adapt)]
    else:
        catalog = ingest_scenes(run)
        chosen = choose_scenes(catalog, scenes, event, per, aoi)
        batches = [
            map_whole(run, catalog, disaster, members, settled, request, adapt=adapt)
            for disaster, members in chosen["disasters"].items()
        ]
        names = chosen["scenes"]
        batches += [
            map_batch(run, catalog, names[start : start + BATCH], settled, adapt=adapt)
            for start in range(0, len(names), BATCH)
        ]
    maps: list[str] = []
    failures, not_adapted, notes = dict(chosen["failures"]), dict[str, str](), dict(chosen["notes"])
    for done in batches:
        maps += done["maps"]
        failures |= done["failures"]
        not_adapted |= done["not_adapted"]
        notes |= done["notes"]
    published: PublishedPages = {"pages": {}, "notes": {}}
    if maps and (pages if pages is not None else request.names_imagery or per == "disaster"):
        published = publish_pages(run, maps)
    notes |= published["notes"]
    publish_maps(maps, failures, chosen["quarantined"], not_adapted=not_adapted, notes=notes, pages=published["pages"])
    summary = f"{len(maps)} maps by {settled['name']}; {len(chosen['quarantined'])} scenes quarantined"
    if failures:
        fix = "see the artifact scenes-without-map; the others are published"
        raise SiameseError(f"{_first(failures, 'have no map')}; {summary}", where="damage_map", fix=fix)
    if not_adapted:
        what = f"{_first(not_adapted, 'are not adapted to the labels of people')}; {summary}"
        raise SiameseError(what, where="damage_map", fix="see the artifact maps-not-adapted")
    result = {
        "run": run, **settled, "maps": maps, "quarantined": chosen["quarantined"], "notes": notes,
        "pages": published["pages"],
    }  # fmt: skip
    return Completed(message=summary, data=result)


def _first(failures: Mapping[str, str], what: str) -> str:
    name, reason = next(iter(failures.items()))
    return f"{len(failures)} events {what}, the first: {name}: {reason}"
