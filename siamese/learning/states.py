"""Resumable states on the bucket: immutable objects, and a pointer to the furthest one that only ever advances."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from siamese.errors import SiameseError
from siamese.model.weights import deserialize, serialize
from siamese.store import Blob, ObjectStore, S3Uri, move_pointer, put_blob, read_pointer

_READS = 5
_BEAT_S = 10.0


class Progress(BaseModel):
    """The progress of a run: everything but the tensors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: int = Field(0, ge=0, description="Steps done.")
    share: float = Field(0.0, ge=0, le=1, description="How far the run was at the last step, by steps or time.")
    elapsed_s: float = Field(0.0, ge=0, description="Seconds of learning, over all restarts.")
    sums: dict[str, float] = Field(default_factory=dict, description="Sums of a step's figures since the epoch began.")
    epoch_steps: int = Field(0, ge=0, description="Steps since the epoch began.")
    rows: tuple[dict[str, int | float], ...] = Field((), description="The curves: figures of each epoch by name.")
    best_epoch: int = Field(0, ge=0, description="0 before the first validation.")
    best_score: float = -1.0
    start: str = Field("random", description="Where the first weights came from.")
    run_id: str | None = Field(None, description="MLflow run.")


class StateKeeper:
    """Stores the states of one run, writing in its own thread; a context manager."""

    def __init__(self, store: ObjectStore, folder: S3Uri) -> None:
        """Stores states under ``folder``, the folder named by the run's digest."""
        self._store, self._folder = store, folder / "progress"
        self._pointer = self._folder / "pointer.json"
        self._pool = ThreadPoolExecutor(1, "progress")
        self._writing: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._pool.shutdown(wait=True)

    @property
    def busy(self) -> bool:
        """Whether the last state is still being written."""
        return self._writing is not None and not self._writing.done()

    def load(self) -> tuple[Progress, dict[str, Tensor]] | None:
        """Returns the furthest stored state, or None if there is none.

        Raises:
            SiameseError: The state cannot be read.
        """
        for attempt in range(_READS):
            found = read_pointer(self._store, self._pointer)
            if found is None:
                return None
            progress, state = self._parsed(found)
            try:
                return progress, deserialize(state.read(self._store), state.uri)
            except SiameseError:
                # Another process may have advanced and deleted this state between the two reads.
                if attempt + 1 == _READS or read_pointer(self._store, self._pointer) == found:
                    raise
        return None

    def save(self, progress: Progress, state: Mapping[str, Tensor]) -> None:
        """Starts storing a state; it is copied first, so training may continue meanwhile.

        Raises:
            SiameseError: The previous state could not be written.
        """
        self.wait()
        copies = {name: tensor.detach().to("cpu", copy=True) for name, tensor in state.items()}
        self._writing = self._pool.submit(self._write, progress, copies)

    def wait(self, beat: Callable[[], None] = lambda: None) -> None:
        """Waits until the last state is stored.

        Args:
            beat: Called from time to time while waiting.

        Raises:
            SiameseError: The state could not be written.
        """
        while self.busy:
            beat()
            wait([self._writing] if self._writing else [], timeout=_BEAT_S)
        if self._writing is not None:
            self._writing.result()

    def sweep(self) -> None:
        """Deletes every state, once the run is published."""
        self.wait()
        self._store.erase(self._folder)

    def _parsed(self, pointer: Mapping[str, Any]) -> tuple[Progress, Blob]:
        return Progress.model_validate(pointer["progress"]), Blob.model_validate(pointer["state"])

    def _write(self, progress: Progress, state: Mapping[str, Tensor]) -> None:
        blob = put_blob(self._store, self._folder, f"step{progress.step}.safetensors", serialize(state))
        mine = {"progress": progress.model_dump(mode="json"), "state": blob.model_dump(mode="json")}
        replaced: list[Blob] = []

        def advance(old: dict[str, Any] | None) -> dict[str, Any] | None:
            if not old:
                replaced[:] = []
                return mine
            before, kept = self._parsed(old)
            further = before.step < progress.step
            replaced[:] = [kept if further else blob]
            return mine if further else None

        now = move_pointer(self._store, self._pointer, advance)
        for other in replaced:
            if now is None or other != self._parsed(now)[1]:
                self._store.erase(S3Uri.parse(other.uri))
