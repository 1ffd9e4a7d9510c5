"""Shared by all flows: verbs as Prefect tasks, and the specification that all tasks of a run follow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.tasks import exponential_backoff

from flows.retries import may_retry
from siamese.errors import SiameseError
from siamese.params import Params
from siamese.progress import LOGGER
from siamese.runs import load_run, publish_run, resolve_params
from siamese.store import ObjectStore

P = ParamSpec("P")
R = TypeVar("R")
Overrides = dict[str, Any]
"""``section.key`` to value: what a run changes of the published params."""


def step(run: Callable[P, R]) -> Task[P, R]:
    """Turns a verb into a Prefect task, retried with growing, jittered pauses when a retry may succeed.

    Prefect's own cache is off, as the verb itself finds what is published under its digest.
    """
    return task(
        retries=4,
        retry_delay_seconds=exponential_backoff(backoff_factor=5),
        retry_jitter_factor=0.5,
        retry_condition_fn=may_retry,
        persist_result=True,
        result_serializer="json",
        cache_policy=NO_CACHE,
        log_prints=True,
    )(run)


@step
def begin_run(overrides: Overrides | None = None, source: str | None = None, run: str | None = None) -> str:
    """Fixes params and code for the whole run; returns the RunSpecification's digest.

    Args:
        overrides: Changes to the published params for this run.
        source: Prefix of the scenes, in place of ``ingest.source``.
        run: Digest of an already published specification, which is used as it is.
    """
    store, changes = ObjectStore(), dict(overrides or {}) | ({"ingest.source": source} if source else {})
    if run is not None:
        if changes:
            what = f"changes {', '.join(changes)} of a run that is specified already"
            raise SiameseError(what, where=f"run {run}", fix="give either `run`, or overrides and source")
        load_run(run, store)
        return run
    params, origin = resolve_params(store, changes)
    digest = publish_run(params, store)
    LOGGER.info(f"run {digest}: {origin}{'; changed: ' + ', '.join(changes) if changes else ''}")
    return digest


def join_run(run: str) -> tuple[ObjectStore, Params]:
    """Returns storage and the run's params; raises if this worker's code has other stage versions than the run."""
    store = ObjectStore()
    return store, load_run(run, store).params
