"""Keeps an index of the buildings of each current map: those that are missing are made, nothing is made twice."""

from __future__ import annotations

from typing import TypedDict

from prefect import State, flow
from prefect.states import Completed

from flows.report import publish_indexes
from flows.steps import Overrides, begin_run, join_run, step
from siamese.errors import NotPublishedError, SiameseError, TransientError
from siamese.manifests import DamageMap
from siamese.progress import LOGGER, progress

BATCH = 32


class CurrentMaps(TypedDict):
    """The current maps of a run, even if some move in the meantime."""

    maps: dict[str, str]
    """Digest by event, of those without an index."""
    indexed: int
    """Number of current maps that have one."""
    failures: dict[str, str]
    """Why a map cannot be indexed, by event."""


class IndexedBatch(TypedDict):
    """The indexes of a batch of maps."""

    indexes: dict[str, str]
    """Digest by event."""
    failures: dict[str, str]
    """Why there is none, by event."""


@step
def find_maps(run: str, events: list[str] | None) -> CurrentMaps:
    """Finds the current maps that have no index yet: of the events asked for, or of all."""
    from siamese.embedding import is_indexed

    store, params = join_run(run)
    missing, failures, indexed = {}, {}, 0
    for event in sorted(set(events)) if events is not None else sorted(DamageMap.mapped_events(store)):
        try:
            made = DamageMap.current(store, event)
            if is_indexed(made, params.embedding, params.search, store):
                indexed += 1
            else:
                missing[event] = made.digest
        except TransientError:
            raise
        except SiameseError as error:
            if isinstance(error, NotPublishedError) and events is None:
                continue  # the map was taken away after the events were listed
            failures[event] = str(error)
    return {"maps": missing, "indexed": indexed, "failures": failures}


@step
def index_batch(run: str, maps: dict[str, str]) -> IndexedBatch:
    """Embeds the buildings of a batch of maps; a map that fails does not hold up the others."""
    from siamese.embedding import embed_map
    from siamese.embedding.search import build_search_index

    store, params = join_run(run)
    indexes, failures = {}, {}
    with progress("index maps", len(maps)) as advance:
        for event, digest in maps.items():
            try:
                index = embed_map(DamageMap.load(store, digest), params.embedding, store)
                if index.count > params.search.exact_up_to:
                    build_search_index(index, params.search, store)
                indexes[event] = index.digest
            except TransientError:
                raise
            except SiameseError as error:
                failures[event] = str(error)
                LOGGER.error(f"{event} has no index: {error}")
            advance(note=event)
    return {"indexes": indexes, "failures": failures}


@flow(name="index", persist_result=True, result_serializer="json")
def index(
    events: list[str] | None = None, overrides: Overrides | None = None, run: str | None = None
) -> State[dict[str, object]]:
    """Gives each building of each current map a vector, so that look-alikes are found and maps are adapted at once.

    Args:
        events: Only these; by default every event with a current map.
        overrides: Changes to the published params for this run.
        run: Digest of a RunSpecification to use instead of overrides.

    Returns:
        The final state, whose message counts new and existing indexes; its result names the new ones.

    Raises:
        SiameseError: Some maps could not be indexed; all others were.
    """
    run = begin_run(overrides, run=run)
    found = find_maps(run, events)
    events_left, failures = list(found["maps"]), dict(found["failures"])
    indexes: dict[str, str] = {}
    for start in range(0, len(events_left), BATCH):
        done = index_batch(run, {event: found["maps"][event] for event in events_left[start : start + BATCH]})
        indexes |= done["indexes"]
        failures |= done["failures"]
    publish_indexes(indexes, failures)
    summary = f"{len(indexes)} maps indexed, {found['indexed']} had an index"
    if failures:
        event, reason = next(iter(failures.items()))
        what = f"{len(failures)} maps have no index, the first: {event}: {reason}; {summary}"
        raise SiameseError(what, where="index", fix="see the artifact maps-without-index; the others are indexed")
    return Completed(message=summary, data={"run": run, "indexes": indexes, "indexed": found["indexed"]})
