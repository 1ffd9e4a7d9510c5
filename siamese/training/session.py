"""A training from where it stands to its end: steps, epochs, validation, states kept, and an end in good order."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from siamese.model import Predictor, SiameseUNet
from siamese.pairs import PairReader
from siamese.params import TrainingParams
from siamese.progress import Advance
from siamese.progress import progress as progress_bar
from siamese.training.crops import Batch, CropSource, check_scenes
from siamese.training.curves import EpochRow
from siamese.training.loader import Loader
from siamese.training.pictures import as_png, example_row
from siamese.training.reduce import from_first, rank, world
from siamese.training.resume import Progress, ProgressKeeper
from siamese.training.schedule import clock_of, progress_of, rate_at
from siamese.training.stopping import StopRequest, asked_by, stopped
from siamese.training.tracking import Tracker
from siamese.training.trainer import Trainer
from siamese.training.validation import chosen_scenes, start_decision, validate

_BEST = "best."
_PICTURES = 4
_LOG_EVERY = 10


class Session:
    """A training from where it stands to its end."""

    def __init__(
        self,
        reader: PairReader,
        trainer: Trainer,
        params: TrainingParams,
        keeper: ProgressKeeper,
        tracker: Tracker,
        progress: Progress,
    ) -> None:
        self.reader, self.trainer, self.tracker, self.progress = reader, trainer, tracker, progress
        self._params, self._keeper = params, keeper
        bands = trainer.network.params.input_bands
        self._source = CropSource(reader, params, bands=bands, rank=rank(), world=world())
        self.validation = chosen_scenes(reader, params.validation_scenes)
        check_scenes(self.validation, bands)
        self._epoch_steps = self._source.steps_an_epoch
        self._steps = params.epochs * self._epoch_steps
        self.decision = start_decision(params)
        self._best: dict[str, Tensor] = {}
        self._clock = clock_of(params)
        self._since = self._clock()
        self._saved = self._epoch_began = time.monotonic()
        self._elapsed_before = progress.elapsed_s
        self._shown = 0.0

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Takes up a kept state."""
        self._best = {name.removeprefix(_BEST): tensor for name, tensor in state.items() if name.startswith(_BEST)}
        self.trainer.restore(state, self.progress.step, self.progress.share)

    def run(self, stop: StopRequest) -> None:
        """Trains until steps or minutes are used up.

        Raises:
            SiameseError: The loss is not a number, or ``stop`` asks to end early; then the state is kept.
        """
        with progress_bar("train, %", 100) as advance, Loader(self._source, self._params.loader_threads) as loader:
            self._show(advance)
            for step, batch in loader.batches(self.trainer.steps, self._steps):
                share = from_first(self._share())
                if share >= 1:
                    break
                self._take(self.trainer.step(batch, share), share)
                if (step + 1) % self._epoch_steps == 0:
                    self._end_epoch(loader)
                self._keep_if_due(stop)
                self._show(advance)
            if self.progress.epoch_steps or not self._best:
                self._end_epoch(loader, last=True)
        self._keeper.wait()

    def best_network(self) -> SiameseUNet:
        """The network with the averaged weights that are to be published, by ``training.keep``."""
        best = copy.deepcopy(self.trainer.average)
        best.load_state_dict(self._best)
        return best

    def _share(self) -> float:
        return progress_of(self.trainer.steps, self._steps, self._elapsed(), self._params)

    def _elapsed(self) -> float:
        return self._elapsed_before + self._clock() - self._since

    def _update(self, **changes: Any) -> None:  # noqa: ANN401
        self.progress = self.progress.model_copy(update=changes)

    def _take(self, loss: float, share: float) -> None:
        """Books a step."""
        now = self.progress
        self._update(
            step=self.trainer.steps,
            share=share,
            elapsed_s=self._elapsed(),
            epoch_loss=now.epoch_loss + loss,
            epoch_steps=now.epoch_steps + 1,
        )
        if self.trainer.steps % _LOG_EVERY == 0:
            rate = rate_at(share, self._params)
            self.tracker.log({"step_loss": loss, "learning_rate": rate}, self.trainer.steps)

    def _end_epoch(self, loader: Loader[Batch], *, last: bool = False) -> None:
        """Validates, books the epoch, keeps the weights that would be published now."""
        now, spent = self.progress, time.monotonic() - self._epoch_began
        self.trainer.check_finite()
        epoch, share = len(now.rows) + 1, self._share()
        due = last or share >= 1 or epoch % self._params.validate_every == 0
        scores = None
        if due and self.validation:
            scores = validate(self.trainer.average, self.reader, self.validation, self.decision).scores()
        judged = self.trainer.stage == "damage" or last
        better = due and (scores is None or scores.score >= now.best_score)
        if judged and (better or self._params.keep == "last"):
            self._best = {name: tensor.detach().clone() for name, tensor in self.trainer.average.state_dict().items()}
            best = scores.score if scores else -1.0
            self._update(best_epoch=epoch, best_score=best)
        row = EpochRow(
            epoch=epoch,
            step=now.step,
            minutes=self._elapsed() / 60,
            loss=now.epoch_loss / max(1, now.epoch_steps),
            learning_rate=rate_at(share, self._params),
            crops_per_second=now.epoch_steps * self._params.crops_a_step / max(spent, 1e-9),
            loader_wait_share=min(1.0, loader.waited_s / max(spent, 1e-9)),
            validation=scores,
        )
        self._update(rows=(*now.rows, row), epoch_loss=0.0, epoch_steps=0, elapsed_s=self._elapsed())
        self.tracker.log(row.numbers(), now.step)
        if due:
            self._send_pictures(epoch)
        loader.waited_s, self._epoch_began = 0.0, time.monotonic()

    def _send_pictures(self, epoch: int) -> None:
        if self.tracker.run_id is None or not self.validation:
            return
        predictor, rows = Predictor(self.trainer.average, self.decision), []
        # Scenes with the most buildings say most.
        busiest = sorted(self.validation, key=lambda entry: -int(entry.pixels[..., 1:5].sum()))[:_PICTURES]
        for entry in busiest:
            pre, post, mask = self.reader.whole(entry.scene)
            rows.append(example_row(pre, post, mask, predictor.classify(pre, post, entry.disaster_type)))
        self.tracker.keep(f"epoch-{epoch:03d}.png", as_png(rows), "pictures")

    def _keep_if_due(self, stop: StopRequest) -> None:
        due = time.monotonic() - self._saved >= self._params.checkpoint_seconds and not self._keeper.busy
        signal = asked_by(stop)
        if not due and signal is None:
            return
        self.trainer.check_finite()
        best = {f"{_BEST}{name}": tensor for name, tensor in self._best.items()}
        self._keeper.save(self.progress, self.trainer.state() | best)
        self._saved = time.monotonic()
        if signal is not None:
            self._keeper.wait()
            from_first(None)
            raise stopped(signal, self.trainer.steps)

    def _show(self, advance: Advance) -> None:
        now, done, self._shown = self.progress, self._shown, 100 * self._share()
        rows = now.rows
        scores = rows[-1].validation if rows else None
        score = f", score {scores.score:.3f} (buildings {scores.localization_f1:.3f})" if scores else ""
        loss = f", loss {now.epoch_loss / now.epoch_steps:.3f}" if now.epoch_steps else ""
        speed = now.epoch_steps * self._params.crops_a_step / max(time.monotonic() - self._epoch_began, 1e-9)
        advance(self._shown - done, note=f"epoch {len(rows) + 1}{loss}{score}, {speed:.1f} crops/s")
