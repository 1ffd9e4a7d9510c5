"""Carries a run from its current state to its end: steps, epochs, validation, stored states, and an orderly stop.

Every process runs this same loop. Work that is done once (validating, storing states, tracking) is done by the first
process, in :func:`siamese.learning.collectives.by_first` where the others need the result.
"""

from __future__ import annotations

import copy
import signal
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Generic

from torch import Tensor

from siamese.errors import SiameseError
from siamese.learning.collectives import agree, by_first, rank, world
from siamese.learning.learner import Learner
from siamese.learning.loader import Loader
from siamese.learning.objective import B, N, O
from siamese.learning.schedule import clock_of, share_of
from siamese.learning.states import Progress, StateKeeper
from siamese.learning.stopping import StopRequest
from siamese.learning.task import Beat, Judgement, M, Task
from siamese.learning.tracking import Tracker
from siamese.progress import Advance
from siamese.progress import progress as progress_bar

_BEST = "best."
_LOG_EVERY = 10


class Loop(Generic[N, B, O, M]):
    """Carries a run from its current state to its end.

    Attributes:
        progress: How far the run is.
    """

    def __init__(
        self,
        task: Task[N, B, O, M],
        learner: Learner[N, B, O],
        progress: Progress,
        keeper: StateKeeper | None,
        tracker: Tracker | None,
    ) -> None:
        """Prepares the loop.

        Args:
            task: The task to learn.
            learner: The network in the state that ``progress`` describes.
            progress: How far the run is.
            keeper: Stores states, in the first process.
            tracker: Records figures, in the first process.
        """
        self.progress = progress
        self._task, self._learner, self._keeper, self._tracker = task, learner, keeper, tracker
        self._recipe = task.recipe
        self._source = task.source(learner.network, rank(), world())
        self._steps = self._recipe.epochs * self._source.steps_an_epoch
        self._best: dict[str, Tensor] = {}
        self._clock = clock_of(self._recipe.clock)
        self._since = self._clock()
        self._saved = self._epoch_began = time.monotonic()
        self._elapsed_before = progress.elapsed_s
        self._shown = 0.0

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restores the state stored with ``progress``."""
        self._best = {name.removeprefix(_BEST): tensor for name, tensor in state.items() if name.startswith(_BEST)}
        self._learner.restore(state, self.progress.step, self.progress.share)

    def run(self, stop: StopRequest) -> None:
        """Trains until steps or minutes are used up.

        Raises:
            SiameseError: The loss is not a number, or ``stop`` requests an early end; then the state is kept.
        """
        label = f"{self._task.verb}, %"
        with _bar(label) as advance, Loader(self._source.batch, self._recipe.loader_threads) as loader:
            batches = loader.batches(self._learner.steps, self._steps)
            self._show(advance)
            while (share := self._agreed(stop)) < 1:
                self._take(self._learner.step(next(batches), share), share)
                if self._learner.steps % self._source.steps_an_epoch == 0:
                    self._end_epoch(loader)
                self._keep_if_due()
                self._show(advance)
            if self.progress.epoch_steps or (self._learner.average is not None and not self._best):
                self._end_epoch(loader, last=True)
        if self._keeper:
            self._keeper.wait()

    def outcome(self) -> N:
        """Returns the network to publish, as selected by ``keep``."""
        if not self._best:
            return self._learner.outcome
        best = copy.deepcopy(self._learner.outcome)
        best.load_state_dict(self._best)
        return best

    def _agreed(self, stop: StopRequest) -> float:
        """Returns the completed share of the run, equal in every process; ends the run if any was asked to stop."""
        share, number = agree(self._share(), stop.signal, self._learner.fabric.device)
        if number:
            self._save()
            by_first(lambda beat: self._keeper.wait(beat) if self._keeper else None)
            what = f"stopped by {signal.Signals(number).name} after step {self._learner.steps}; its state is kept"
            fix = "run it again with the same params to go on"
            raise SiameseError(what, where=self._recipe.section, fix=fix)
        return share

    def _share(self) -> float:
        return share_of(self._learner.steps, self._steps, self._elapsed(), self._recipe.minutes)

    def _elapsed(self) -> float:
        return self._elapsed_before + self._clock() - self._since

    def _update(self, **changes: Any) -> None:  # noqa: ANN401
        self.progress = self.progress.model_copy(update=changes)

    def _take(self, figures: Mapping[str, float], share: float) -> None:
        """Records a step."""
        now = self.progress
        self._update(
            step=self._learner.steps,
            share=share,
            elapsed_s=self._elapsed(),
            sums={name: now.sums.get(name, 0.0) + value for name, value in figures.items()},
            epoch_steps=now.epoch_steps + 1,
        )
        if self._learner.steps % _LOG_EVERY == 0 and self._tracker:
            rate = self._learner.objective.rate_at(share)
            self._tracker.log({"step_loss": figures["loss"], "learning_rate": rate}, self._learner.steps)

    def _end_epoch(self, loader: Loader[B], *, last: bool = False) -> None:
        """Validates, records the epoch, and keeps the weights that would be published at this point."""
        now, spent = self.progress, max(time.monotonic() - self._epoch_began, 1e-9)
        learner, recipe = self._learner, self._recipe
        learner.check_finite()
        epoch, share = len(now.rows) + 1, self._share()
        row: dict[str, int | float] = {
            "epoch": epoch,
            "step": now.step,
            "minutes": self._elapsed() / 60,
            **self._means(),
            "learning_rate": learner.objective.rate_at(share),
            f"{self._task.examples}_per_second": now.epoch_steps * recipe.step_size / spent,
            "loader_wait_share": min(1.0, loader.waited_s / spent),
        }
        due, judgement = by_first(lambda beat: self._judged(epoch, beat, last=last))
        better = due and (judgement is None or judgement.score >= now.best_score)
        if (last or self._task.judges_at(learner.share)) and (better or recipe.keep == "last"):
            if learner.average is not None:
                self._best = {name: tensor.detach().clone() for name, tensor in learner.average.state_dict().items()}
            self._update(best_epoch=epoch, best_score=judgement.score if judgement else -1.0)
        row.update(judgement.figures if judgement else {})
        self._update(rows=(*now.rows, row), sums={}, epoch_steps=0, elapsed_s=self._elapsed())
        if self._tracker:
            self._tracker.log(row, now.step)
            picture = self._task.picture(learner.outcome) if due and self._tracker.run_id else None
            if picture is not None:
                self._tracker.keep(f"epoch-{epoch:03d}.png", picture, "pictures")
        loader.waited_s, self._epoch_began = 0.0, time.monotonic()

    def _judged(self, epoch: int, beat: Beat, *, last: bool) -> tuple[bool, Judgement | None]:
        """Validates if the epoch ends with a validation; returns the result."""
        if not last and self._share() < 1 and epoch % self._recipe.validate_every:
            return False, None
        return True, self._task.judge(self._learner.outcome, beat)

    def _keep_if_due(self) -> None:
        if self._keeper is None or self._keeper.busy:
            return
        if time.monotonic() - self._saved >= self._recipe.checkpoint_seconds:
            self._save()

    def _save(self) -> None:
        self._learner.check_finite()
        if self._keeper:
            best = {f"{_BEST}{name}": tensor for name, tensor in self._best.items()}
            self._keeper.save(self.progress, self._learner.state() | best)
            self._saved = time.monotonic()

    def _means(self) -> dict[str, float]:
        return {name: value / max(1, self.progress.epoch_steps) for name, value in self.progress.sums.items()}

    def _show(self, advance: Advance) -> None:
        now, done, self._shown = self.progress, self._shown, 100 * self._share()
        figures = (now.rows[-1] if now.rows else {}) | self._means()
        known = [name for name in ("loss", *self._task.shown) if name in figures]
        told = "".join(f", {name.replace('_', ' ')} {figures[name]:.3f}" for name in known)
        if now.epoch_steps:
            speed = now.epoch_steps * self._recipe.step_size / max(time.monotonic() - self._epoch_began, 1e-9)
            told += f", {speed:.1f} {self._task.examples}/s"
        advance(self._shown - done, note=f"epoch {len(now.rows) + 1}{told}")


def _bar(label: str) -> AbstractContextManager[Advance]:
    """The progress of the run in percent, shown by the first process alone."""

    def silent(_: float = 1, /, *, note: str = "") -> None:
        del note

    return progress_bar(label, 100) if rank() == 0 else nullcontext(silent)
