"""Spreads the windows of one map over processes of this machine or over the workers of a Dask cluster.

Each task predicts a few windows and keeps them on the shelf of blocks, from where any run takes them. So a worker that
is killed costs the windows it had not kept yet; its task runs again on another worker.
"""

from __future__ import annotations

import math
import os
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Self

from siamese.errors import SiameseError, TransientError
from siamese.manifests import Checkpoint
from siamese.mapping.blocks import BlockShelf, KeptBlock
from siamese.mapping.grid import Grid
from siamese.mapping.inputs import BandOrders
from siamese.mapping.plans import BlockPlan
from siamese.mapping.running import predict_blocks
from siamese.mapping.stage import PREDICTION
from siamese.mapping.task import Imagery, MapTask, open_imagery
from siamese.model import Predictor
from siamese.model.predictor import Flips
from siamese.params import PredictParams
from siamese.settings import Settings
from siamese.store import ObjectStore

if TYPE_CHECKING:
    from distributed import Client, Future

_TASKS_A_WORKER: Final = 4
_MOST_WINDOWS: Final = 16
"""Windows of one task; what a killed worker loses at most."""
_WAIT_S: Final = 60.0
"""How long a cluster has for its first worker."""
_LOADING = Lock()


@dataclass(frozen=True)
class WindowWork:
    """What a process needs to know to predict windows of a map."""

    task: MapTask
    checkpoints: tuple[str, ...]
    """Digests of the network, or of those of an ensemble."""
    bands: tuple[int, int]
    grid: Grid
    value_range: tuple[float, float] | None
    orders: BandOrders
    flips: Flips
    windows: int
    """Windows of the whole map, by which the backend is chosen."""
    version: int = PREDICTION.version
    """Version of the stage in the code that planned the windows."""

    @classmethod
    def of(
        cls,
        task: MapTask,
        checkpoints: Sequence[Checkpoint],
        bands: tuple[int, int],
        grid: Grid,
        params: PredictParams,
        windows: int,
    ) -> Self:
        """Describes the work on a map."""
        # The area and footprints are part of the plans already.
        lean = replace(task, area=None, footprints=None)
        digests = tuple(one.digest for one in checkpoints)
        return cls(lean, digests, bands, grid, params.value_range, params.band_orders, params.flips, windows)


def predict_windows(work: WindowWork, plans: Sequence[BlockPlan]) -> list[KeptBlock]:
    """Predicts windows of a map and keeps them; runs in a worker, which loads networks and imagery once a map.

    Args:
        work: The map.
        plans: Its windows.

    Returns:
        The blocks, in the order of the plans.

    Raises:
        SiameseError: This worker runs other code, or a network or image cannot be read here.
    """
    if work.version != PREDICTION.version:
        what = f"has version {PREDICTION.version} of {PREDICTION.noun}, the map is made with version {work.version}"
        fix = "install the same version of siamese on every worker"
        raise SiameseError(what, where=f"worker on {socket.gethostname()}", fix=fix)
    with _LOADING:  # a worker may have several threads
        opened = _opened(work)
    found = predict_blocks(opened.imagery, plans, opened.network, opened.shelf, work.task.disaster_type)
    by_key = {plan.key: kept for plan, kept in found}
    return [by_key[plan.key] for plan in plans]


@dataclass(frozen=True)
class _Opened:
    """What a worker keeps between two tasks on one map."""

    imagery: Imagery
    network: Predictor
    shelf: BlockShelf
    folder: tempfile.TemporaryDirectory[str]
    """Copies of images; removed when the next map is opened, or the worker ends."""


@lru_cache(maxsize=1)
def _opened(work: WindowWork) -> _Opened:
    store = ObjectStore()
    store.settings.cache.mkdir(parents=True, exist_ok=True)
    folder = tempfile.TemporaryDirectory(prefix="windows-", dir=store.settings.cache)
    checkpoints = [Checkpoint.load(store, digest) for digest in work.checkpoints]
    network = Predictor.load(store, *checkpoints, expected_pairs=work.windows, flips=work.flips)
    imagery = open_imagery(
        work.task, work.bands, Path(folder.name), store, work.value_range, orders=work.orders, grid=work.grid
    )
    return _Opened(imagery, network, BlockShelf(store), folder)


class Spread:
    """The cluster that windows are spread over, started or reached when the first map needs it.

    Args:
        params: How many processes, or the address of a scheduler.
        store: Object storage; processes of this machine use the same.
        client_class: :class:`distributed.Client`, or another with its interface.
        call: What the client is asked to run; by default :func:`predict_windows`.
    """

    def __init__(
        self,
        params: PredictParams,
        store: ObjectStore,
        client_class: Callable[..., Client] | None = None,
        call: Any = predict_windows,  # noqa: ANN401 - a function, or a task that wraps it
    ) -> None:
        self._workers, self._scheduler, self._store = params.workers, params.scheduler, store
        self._client_class, self._call = client_class, call
        self._stack = ExitStack()
        self._client: Client | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client = None
        self._stack.close()

    def is_worth_it(self, windows: int) -> bool:
        """Returns whether windows are spread at all: there are several, and several processes."""
        return windows > 1 and (self._workers > 1 or self._scheduler is not None)

    def start(self) -> None:
        """Starts or reaches the cluster now, with all its workers."""
        self._connected().wait_for_workers(self._workers if self._scheduler is None else 1, timeout=_WAIT_S)

    def predict(self, work: WindowWork, plans: Sequence[BlockPlan]) -> Iterator[tuple[BlockPlan, KeptBlock]]:
        """Predicts blocks on the cluster.

        Args:
            work: The map.
            plans: Its blocks.

        Yields:
            Each plan with its block, as they are done.

        Raises:
            TransientError: The cluster cannot be reached, or its workers die again and again.
            SiameseError: A worker could not do its task.
        """
        from distributed import as_completed
        from distributed.scheduler import KilledWorker

        client = self._connected()
        size = _windows_a_task(len(plans), max(1, len(client.scheduler_info(n_workers=-1)["workers"])))
        batches = [plans[start : start + size] for start in range(0, len(plans), size)]
        futures: dict[Future[list[KeptBlock]], Sequence[BlockPlan]] = {
            client.submit(self._call, work, batch, pure=False): batch for batch in batches
        }
        try:
            for future in as_completed(futures, loop=client.loop):  # type: ignore[no-untyped-call]
                yield from zip(futures[future], future.result(), strict=True)
        except KilledWorker as error:
            what = "its workers died again and again on one task"
            raise TransientError(what, where=self._where, fix="see their logs; mostly memory is short") from error
        finally:
            client.cancel(list(futures))  # type: ignore[no-untyped-call]

    @property
    def _where(self) -> str:
        return self._scheduler or f"{self._workers} processes of this machine"

    def _connected(self) -> Client:
        if self._client is None:
            import distributed

            make = self._client_class or distributed.Client
            # Outside the try: processes of this machine that do not start are no scheduler that is away.
            cluster = self._scheduler or self._stack.enter_context(_local(self._workers, self._store))
            try:
                self._client = self._stack.enter_context(make(cluster, timeout=_WAIT_S, set_as_default=False))
                self._client.wait_for_workers(1, timeout=_WAIT_S)
            except ValueError as error:
                fix = "give mapping.scheduler as tcp://HOST:PORT or tls://HOST:PORT"
                raise SiameseError(f"is no address of a scheduler: {error}", where=self._where, fix=fix) from error
            except (OSError, TimeoutError) as error:
                fix = "is the scheduler of mapping.scheduler running, with workers?"
                raise TransientError(f"does not answer: {error}", where=self._where, fix=fix) from error
        return self._client


def _local(workers: int, store: ObjectStore) -> Any:  # noqa: ANN401 - LocalCluster has no types
    """Starts processes on this machine, which nobody else can give work: connections are by TLS with a passing key."""
    import dask
    from distributed import LocalCluster

    threads = max(1, (os.cpu_count() or 1) // workers)
    with dask.config.set(
        {
            "distributed.scheduler.http.routes": [],
            "distributed.worker.http.routes": [],
            "distributed.nanny.pre-spawn-environ": {},
            "distributed.worker.daemon": False,
        }
    ):
        return LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            security=True,
            dashboard_address="127.0.0.1:0",
            memory_limit=None,
            silence_logs="ERROR",
            env=_environment(store) | {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads))},
        )


def _environment(store: ObjectStore) -> dict[str, str]:
    """Returns the environment in which ``ObjectStore()`` is this store."""
    settings = store.settings
    own = {f"SIAMESE_{field.upper()}": str(getattr(settings, field)) for field in Settings.model_fields}
    return dict(store.environment) | own | {"SIAMESE_HOME": str(settings.home.absolute())}


def _windows_a_task(windows: int, workers: int) -> int:
    return max(1, min(_MOST_WINDOWS, math.ceil(windows / (workers * _TASKS_A_WORKER))))
