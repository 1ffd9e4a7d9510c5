"""MLflow tracking: params, curves, pictures and system metrics of a run. A failing server never stops training."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from siamese.params.section import Section
from siamese.progress import LOGGER
from siamese.servers import without_login
from siamese.store import Origin
from siamese.store.provenance import git_revision

_EXPERIMENT = "siamese"
_REFUSALS = {"UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED", "PERMISSION_DENIED"}
_REFUSED = re.compile(r"failed with error code 40[13]\b")
_PATIENCE_S = 60.0
"""How long a run waits for MLflow at its start and end, and how long it leaves a failed server alone."""


class Tracker:
    """Writes to an MLflow run from its own thread; does nothing if no server is configured. A context manager."""

    def __init__(self, *, name: str, params: Mapping[str, Any], tags: Mapping[str, str], run_id: str | None) -> None:
        """Opens the run.

        Args:
            name: Name of a new run.
            params: Params of a new run, flattened.
            tags: Tags of a new run.
            run_id: The run to continue; None starts a new one.
        """
        self._pool = ThreadPoolExecutor(1, "mlflow")
        self._pending: list[Future[None]] = []
        self._failed_at: float | None = None
        self._monitor: Any = None
        self._client: Any = None
        self.run_id: str | None = None
        if not (os.environ.get("MLFLOW_TRACKING_URI") or _uri_set()):
            return
        self._submit(lambda: self._open(name, params, tags, run_id))
        self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        # A run that was stopped or has failed may continue later, under the same id.
        status = "FINISHED" if kind is None else "FAILED"
        self._submit(lambda: self._close(status))
        self.flush()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        """Adds a point to each named curve."""
        now = int(time.time() * 1000)

        def send() -> None:
            from mlflow.entities import Metric

            metrics = [Metric(name, float(value), now, step) for name, value in numbers.items()]
            self._client.log_batch(self.run_id, metrics=metrics)

        self._submit(send)

    def keep(self, name: str, data: bytes, folder: str | None = None) -> None:
        """Adds a file to the run."""

        def send() -> None:
            with tempfile.TemporaryDirectory() as scratch:
                path = Path(scratch) / name
                path.write_bytes(data)
                self._client.log_artifact(self.run_id, str(path), folder)

        self._submit(send)

    def flush(self) -> None:
        """Waits, for a limited time, until everything is sent."""
        wait_for(self._pending, timeout=_PATIENCE_S)
        self._pending = [future for future in self._pending if not future.done()]

    def _submit(self, work: Callable[[], None]) -> None:
        self._pending = [future for future in self._pending if not future.done()]
        self._pending.append(self._pool.submit(self._attempt, work))

    def _attempt(self, work: Callable[[], None]) -> None:
        if self._client is None and self.run_id is None and not _uri_set():
            return
        if self._failed_at is not None and time.monotonic() - self._failed_at < _PATIENCE_S:
            return
        try:
            work()
        except Exception as error:
            if self._failed_at is None:
                LOGGER.warning(f"{_failed(error)}; training goes on without it")
            self._failed_at = time.monotonic()
        else:
            self._failed_at = None

    def _open(self, name: str, params: Mapping[str, Any], tags: Mapping[str, str], run_id: str | None) -> None:
        import mlflow
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        client = mlflow.MlflowClient()
        if run_id is None:
            run_id = client.create_run(_experiment(client), run_name=name, tags=dict(tags)).info.run_id
            from mlflow.entities import Param

            client.log_batch(run_id, params=[Param(key, str(value)) for key, value in params.items()])
        else:
            client.update_run(run_id, status="RUNNING")
        self._client, self.run_id = client, run_id
        self._monitor = SystemMetricsMonitor(  # type: ignore[no-untyped-call]
            run_id, sampling_interval=_sampling_interval_s(), resume_logging=True
        )
        self._monitor.start()

    def _close(self, status: str) -> None:
        if self._client is None:
            return
        if self._monitor is not None:
            self._monitor.finish()
        self._client.set_terminated(self.run_id, status)


def run_params(sections: Mapping[str, Section]) -> dict[str, Any]:
    """Flattens params sections to the params of a run: ``section.key``."""
    return {f"{name}.{key}": value for name, section in sections.items() for key, value in section.model_dump().items()}


def run_tags(origin: Origin, lineage: Mapping[str, str], start: str, device: str) -> dict[str, str]:
    """Returns tags that link a run to its work: digests of its inputs, code, revision, start and device."""
    params = json.dumps(origin.params, sort_keys=True)
    return {
        "siamese.digest": origin.digest,
        "siamese.code": origin.code,
        "siamese.params": hashlib.sha256(params.encode()).hexdigest()[:16],
        **{f"siamese.{name}": digest for name, digest in lineage.items()},
        "siamese.revision": git_revision(),
        "siamese.start": start,
        "siamese.parent": origin.sources.get("parent", ""),
        "siamese.device": device,
        "mlflow.source.git.commit": git_revision(),
    }


def _experiment(client: Any) -> str:  # noqa: ANN401
    from mlflow.exceptions import MlflowException

    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", _EXPERIMENT)
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException:
            found = client.get_experiment_by_name(name)
    return str(found.experiment_id)


def _failed(error: Exception) -> str:
    """Returns the message of a failure: a refused login, or a server that does not answer."""
    import mlflow

    reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    if getattr(error, "error_code", "") in _REFUSALS or _REFUSED.search(reason):
        settings = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        return f"MLflow {without_login(mlflow.get_tracking_uri())} refused the login, check {settings}: {reason}"
    return f"MLflow does not answer: {reason}"


def _uri_set() -> bool:
    import mlflow

    answer: bool = mlflow.is_tracking_uri_set()  # type: ignore[no-untyped-call]
    return answer


def _sampling_interval_s() -> float:
    from mlflow.environment_variables import MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL as SETTING

    return float(SETTING.get() or 10)  # type: ignore[no-untyped-call]
