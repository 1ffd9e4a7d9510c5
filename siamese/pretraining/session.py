"""One process's part of a pre-training: steps, epochs, states kept, and an end in good order."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from pydantic import Field
from torch import Tensor

from siamese.errors import SiameseError
from siamese.params import PretrainingParams
from siamese.pretraining.curves import PretrainingRow
from siamese.pretraining.trainer import Step, Trainer
from siamese.pretraining.views import Views, ViewSource
from siamese.progress import Advance
from siamese.progress import progress as progress_bar
from siamese.training.loader import Loader
from siamese.training.resume import StateKeeper, StepProgress
from siamese.training.schedule import progress_of, rate_factor
from siamese.training.stopping import StopRequest
from siamese.training.tracking import Tracker

_LOG_EVERY = 10


class PretrainingProgress(StepProgress):
    """How far a pre-training is."""

    epoch_spread: float = Field(0.0, description="Sum of the spreads since the epoch began.")
    epoch_rank: float = Field(0.0, description="Sum of the ranks since the epoch began.")
    rows: tuple[PretrainingRow, ...] = ()


class Session:
    """A pre-training from where it stands to its end."""

    def __init__(
        self,
        source: ViewSource,
        trainer: Trainer,
        keeper: StateKeeper[PretrainingProgress],
        tracker: Tracker,
        progress: PretrainingProgress,
    ) -> None:
        self.trainer, self.tracker, self.progress = trainer, tracker, progress
        self._source, self._keeper = source, keeper
        self._params: PretrainingParams = trainer.params
        self._steps = self._params.epochs * source.steps_an_epoch
        self._since = self._saved = self._epoch_began = time.monotonic()
        self._elapsed_before = progress.elapsed_s
        self._shown = 0.0

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Takes up a kept state."""
        self.trainer.restore(state, self.progress.step)

    def run(self, stop: StopRequest) -> None:
        """Learns until steps or minutes are used up.

        Raises:
            SiameseError: The loss is not a number, or ``stop`` asks to end early; then the state is kept.
        """
        loader: Loader[Views]
        with progress_bar("pretrain, %", 100) as advance, Loader(self._source, self._params.loader_threads) as loader:
            self._show(advance)
            for step, views in loader.batches(self.trainer.steps, self._steps):
                share = self._share()
                if share >= 1:
                    break
                self._take(self.trainer.step(views, share), share)
                if (step + 1) % self._source.steps_an_epoch == 0:
                    self._end_epoch(loader)
                self._keep_if_due(stop)
                self._show(advance)
            if self.progress.epoch_steps:
                self._end_epoch(loader)
        self._keeper.wait()

    def _share(self) -> float:
        return progress_of(self.trainer.steps, self._steps, self._elapsed(), self._params)

    def _elapsed(self) -> float:
        return self._elapsed_before + time.monotonic() - self._since

    def _update(self, **changes: Any) -> None:  # noqa: ANN401
        self.progress = self.progress.model_copy(update=changes)

    def _take(self, done: Step, share: float) -> None:
        """Books a step."""
        now = self.progress
        self._update(
            step=self.trainer.steps,
            elapsed_s=self._elapsed(),
            epoch_loss=now.epoch_loss + done.loss,
            epoch_spread=now.epoch_spread + done.spread,
            epoch_rank=now.epoch_rank + done.rank,
            epoch_steps=now.epoch_steps + 1,
        )
        if self.trainer.steps % _LOG_EVERY == 0:
            rate = rate_factor(share, self._params.warmup_share)
            self.tracker.log({"step_loss": done.loss, "learning_rate": rate}, self.trainer.steps)

    def _end_epoch(self, loader: Loader[Views]) -> None:
        now, spent = self.progress, max(time.monotonic() - self._epoch_began, 1e-9)
        row = PretrainingRow(
            epoch=len(now.rows) + 1,
            step=now.step,
            minutes=self._elapsed() / 60,
            loss=now.epoch_loss / now.epoch_steps,
            spread=now.epoch_spread / now.epoch_steps,
            rank=now.epoch_rank / now.epoch_steps,
            learning_rate=rate_factor(self._share(), self._params.warmup_share),
            places_per_second=now.epoch_steps * self._params.batch / spent,
            loader_wait_share=min(1.0, loader.waited_s / spent),
        )
        self._update(
            rows=(*now.rows, row),
            epoch_loss=0.0,
            epoch_spread=0.0,
            epoch_rank=0.0,
            epoch_steps=0,
            elapsed_s=self._elapsed(),
        )
        self.tracker.log(row.model_dump(), now.step)
        loader.waited_s, self._epoch_began = 0.0, time.monotonic()

    def _keep_if_due(self, stop: StopRequest) -> None:
        due = time.monotonic() - self._saved >= self._params.checkpoint_seconds and not self._keeper.busy
        if not due and stop.name is None:
            return
        self._keeper.save(self.progress, self.trainer.state())
        self._saved = time.monotonic()
        if stop.name is not None:
            self._keeper.wait()
            what = f"stopped by {stop.name} after step {self.trainer.steps}; its state is kept"
            raise SiameseError(what, where="pre-training", fix="run it again with the same params to go on")

    def _show(self, advance: Advance) -> None:
        now, done, self._shown = self.progress, self._shown, 100 * self._share()
        told = f"epoch {len(now.rows) + 1}"
        if now.epoch_steps:
            told += f", loss {now.epoch_loss / now.epoch_steps:.3f}, spread {now.epoch_spread / now.epoch_steps:.2f}"
        speed = now.epoch_steps * self._params.batch / max(time.monotonic() - self._epoch_began, 1e-9)
        advance(self._shown - done, note=f"{told}, {speed:.1f} places/s")
