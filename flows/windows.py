"""Windows of one map as Prefect tasks on a Dask cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from siamese.mapping.blocks import KeptBlock
from siamese.mapping.plans import BlockPlan
from siamese.mapping.spread import Spread, WindowWork, predict_windows
from siamese.params import MappingParams, PredictParams
from siamese.store import ObjectStore

if TYPE_CHECKING:
    from distributed import Client


@task(name="predict-windows", cache_policy=NO_CACHE, persist_result=False)
def predict_some(work: WindowWork, plans: Sequence[BlockPlan]) -> list[KeptBlock]:
    """Predicts a few windows of a map and keeps them on object storage."""
    return predict_windows(work, plans)


def spread_over_tasks(params: MappingParams, store: ObjectStore) -> Spread:
    """Returns what spreads the windows of a map, each few as one task run that Prefect shows.

    Args:
        params: How many processes, or the address of a scheduler.
        store: Object storage.
    """
    return Spread(params.part(PredictParams), store, _client, predict_some)


def _client(*given: Any, **named: Any) -> Client:  # noqa: ANN401
    from prefect_dask.client import PrefectDaskClient  # loads Dask, which most maps do without

    return PrefectDaskClient(*given, **named)  # type: ignore[no-untyped-call]
