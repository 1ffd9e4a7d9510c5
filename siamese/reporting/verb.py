"""The verbs ``report`` and ``export``: products of a map that is published already.

A map is published with its products. They are made again, beside the map and without the network, when a person has
assessed it since, when other areas are to be counted, or when it was made by a version that had no products.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from siamese.adaptation.lineage import root_of
from siamese.embedding.reopening import map_parts, reopened
from siamese.errors import NotPublishedError, SiameseError
from siamese.manifests import Assessment, BuildingSet, Checkpoint, DamageMap, Evaluation, MapProducts, Prediction
from siamese.mapping.areas import bring_areas
from siamese.mapping.decide import grid_of
from siamese.mapping.facts import facts_of
from siamese.mapping.publish import BothDates, bring_reasons, bring_shifts, reader
from siamese.mapping.stage import DAMAGE_MAP
from siamese.mapping.trust import evaluation_of
from siamese.mapping.workplace import workplace
from siamese.params import PublishParams
from siamese.products.chips import ReadSquare
from siamese.products.facts import MapFacts
from siamese.products.known_error import KnownError
from siamese.products.make import MapSources, make_products
from siamese.products.shelf import put_products
from siamese.products.stac import map_files
from siamese.progress import LOGGER, progress
from siamese.reporting.stage import MAP_PRODUCTS
from siamese.store import Blob, ObjectStore, S3Uri
from siamese.store.manifest import MANIFEST
from siamese.store.stage import Input


def make_again(
    made: DamageMap, params: PublishParams, store: ObjectStore, *, assessment: Assessment | None = None
) -> MapProducts:
    """Makes the products of a published map; what was made from the same before is taken.

    Args:
        made: The map, of any version.
        params: Areas to count in.
        store: Where the map lies and the products go.
        assessment: What a person found out about the map, for the report.

    Raises:
        SiameseError: An object is missing or damaged, or the assessment is of another map.
    """
    if assessment is not None and assessment.map != made.digest:
        what = f"is of the map {assessment.map}, not of {made.digest}"
        raise SiameseError(what, where=f"assessment {assessment.digest}", fix="assess this map, or report on that one")
    areas = bring_areas(params, made.crs, store)
    evaluation = _evaluation(made, store)
    inputs: dict[str, Input] = {"map": made, "event": made.event}
    inputs |= {"assessment": assessment} if assessment else {}
    inputs |= {"evaluation": evaluation} if evaluation else {}
    inputs |= {"areas": areas.identity} if areas else {}
    origin = MAP_PRODUCTS.plan(inputs=inputs, params={"mapping": params})
    if found := MAP_PRODUCTS.find(store, origin):
        return found
    prediction, buildings = _steps(made, store)
    with workplace(store) as folder, _images(made, prediction, store) as read, progress("products", 3) as advance:
        classes, table = folder / "classes.tif", folder / "published.parquet"
        store.download(S3Uri.parse(made.classes.uri), classes)
        store.download(S3Uri.parse(made.buildings.uri), table)
        advance(note="files")
        sources = MapSources(
            classes,
            table,
            made.picture.read(store),
            read=read,
            known=KnownError.of(evaluation, store) if evaluation else None,
            reasons=bring_reasons(buildings, folder, store) if buildings else None,
            areas=areas.read(store, folder) if areas else None,
            shifts=bring_shifts(prediction, buildings, folder, store),
            assessment=assessment,
        )
        facts = facts_of(made, store, prediction, buildings, evaluation=evaluation)
        files = make_products(facts, sources, params.h3_resolution, folder)
        advance(note="made")
        products = put_products(facts, files, store.maps / f"{made.digest}-{origin.digest}", store)
        advance(note=made.event)
        return MapProducts(
            origin=origin,
            map=made.digest,
            assessment=assessment.digest if assessment else None,
            products=products,
        ).publish(store)


def current_products(
    made: DamageMap, params: PublishParams, store: ObjectStore, *, assessment: Assessment | None = None
) -> Mapping[str, Blob]:
    """Returns all files of a map, by the names of :data:`siamese.products.stac.ASSETS`, and its STAC documents.

    Those that it was published with, unless an older version made it or something came to be known since.

    Args:
        made: The map.
        params: Areas to count in.
        store: Where the map lies.
        assessment: What a person found out about it.
    """
    products: Mapping[str, Blob] = made.products
    older = made.origin.version < DAMAGE_MAP.version
    if older or assessment is not None or params.areas is not None:
        products = make_again(made, params, store, assessment=assessment).products
    documents = {name: blob for name, blob in products.items() if name.startswith("stac_")}
    return map_files(made.model_copy(update={"products": dict(products)})) | documents


def find_assessment(made: DamageMap, store: ObjectStore) -> Assessment | None:
    """Returns the newest assessment of a map; None if nobody assessed it."""
    found = [
        Assessment.load(store, info.uri)
        for info in store.list(store.lake / Assessment.kind / "")
        if info.uri.name == MANIFEST
    ]
    return max((one for one in found if one.map == made.digest), key=lambda one: one.created, default=None)


def known_facts(made: DamageMap, store: ObjectStore) -> MapFacts:
    """Returns what is known of a published map."""
    return facts_of(made, store, *_steps(made, store), evaluation=_evaluation(made, store))


def _steps(made: DamageMap, store: ObjectStore) -> tuple[Prediction | None, BuildingSet | None]:
    prediction = Prediction.load(store, made.prediction) if made.prediction else None
    return prediction, BuildingSet.load(store, made.building_set) if made.building_set else None


def _evaluation(made: DamageMap, store: ObjectStore) -> Evaluation | None:
    if made.further:
        return None
    try:
        return evaluation_of(Checkpoint.load(store, made.checkpoint), store)
    except NotPublishedError:
        return None


@contextmanager
def _images(made: DamageMap, prediction: Prediction | None, store: ObjectStore) -> Iterator[ReadSquare | None]:
    """Opens the images of a map for its sample chips; None where they are gone."""
    if prediction is None:
        yield None
        return
    with ExitStack() as stack:
        try:
            imagery = stack.enter_context(reopened(map_parts(root_of(made, store), store), store))
        except SiameseError as error:
            LOGGER.warning(f"the report shows no sample buildings: {error}")
            yield None
            return
        yield reader(BothDates.of(imagery), grid_of(prediction))
