"""What the flows share: the verbs as Prefect tasks, each taking and giving digests."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from prefect import State, Task, task
from prefect.cache_policies import NO_CACHE
from prefect.tasks import exponential_backoff

from siamese.errors import SiameseError, TransientError
from siamese.params import Params, load_params

P = ParamSpec("P")
R = TypeVar("R")
Overrides = dict[str, Any]
"""``section.key`` to value: what a run changes of params.yaml."""


def read_params(overrides: Mapping[str, Any]) -> Params:
    """params.yaml of the worker's folder, with a run's overrides."""
    return load_params(Path("params.yaml"), [f"{key}={json.dumps(value)}" for key, value in overrides.items()])


def step(run: Callable[P, R]) -> Task[P, R]:
    """A verb as a task: tried again, with growing and jittered pauses, when time may heal the failure.

    Prefect's own cache is off: the verb finds what is published under its digest.
    """
    return task(
        retries=4,
        retry_delay_seconds=exponential_backoff(backoff_factor=5),
        retry_jitter_factor=0.5,
        retry_condition_fn=_time_may_heal,
        persist_result=True,
        result_serializer="json",
        cache_policy=NO_CACHE,
        log_prints=True,
    )(run)


def _time_may_heal(_task: object, _run: object, state: State[Any]) -> bool:
    return isinstance(state.data, TransientError) or not isinstance(state.data, SiameseError)
