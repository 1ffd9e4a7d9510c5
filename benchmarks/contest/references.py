"""The references: what a practitioner would build from torchgeo or segmentation_models_pytorch in an afternoon.

The encoder, its ImageNet weights and fast depthwise convolutions, crops, augmentation, optimizer, learning rates,
schedule, number format, budget and the choice of epoch are those of this project's network. Network, loss and decision
differ: five classes, weighted cross-entropy + dice, the likeliest class of each pixel. The disaster type is not used.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from contest.judging import Image, Network
from contest.results import Learned
from siamese.classes import DAMAGE_CLASSES, UNCLASSIFIED
from siamese.learning.loader import Loader
from siamese.learning.schedule import clock_of, rate_factor, share_of
from siamese.manifests import Scores
from siamese.metrics import Buildings, Counts, count_scene
from siamese.model.decision import Decided, Probabilities
from siamese.model.depthwise import quicken_depthwise
from siamese.model.encoders import Encoder
from siamese.model.imagenet import RANDOM, load_imagenet
from siamese.model.precision import autocast, best_device
from siamese.pairs import PairReader, SceneEntry
from siamese.params import NetworkParams, TrainingParams
from siamese.progress import progress
from siamese.training.crops import Batch, CropSource
from siamese.training.validation import chosen_scenes

Kind = Literal["fcsiamdiff", "unet"]
CLASSES = 1 + len(DAMAGE_CLASSES)
_BACKGROUND_WEIGHT = 0.5
_MULTIPLE = 32


class Reference(nn.Module):
    """A third-party network with the encoder's own image normalisation."""

    mean: Tensor
    std: Tensor

    def __init__(self, kind: Kind, network: nn.Module, encoder: Encoder) -> None:
        super().__init__()
        self.kind, self.network = kind, network
        self.register_buffer("mean", encoder.mean)
        self.register_buffer("std", encoder.std)

    def forward(self, pre: Tensor, post: Tensor) -> Tensor:
        """Takes two ``(N, 3, H, W)`` float32 in 0..1, H and W multiples of 32; returns ``(N, 5, H, W)`` logits."""
        dates = [(images - self.mean) / self.std for images in (pre, post)]
        both = torch.stack(dates, 1) if self.kind == "fcsiamdiff" else torch.cat(dates, 1)
        logits: Tensor = self.network(both)
        return logits.float()


def build_reference(kind: Kind, params: NetworkParams) -> tuple[Reference, str]:
    """Builds a reference with ImageNet weights; also returns where they came from."""
    import segmentation_models_pytorch as smp
    from torchgeo.models import FCSiamDiff

    encoder = Encoder(params.encoder)
    start = load_imagenet(encoder) if params.pretrained else RANDOM
    design, channels = (FCSiamDiff, 3) if kind == "fcsiamdiff" else (smp.Unet, 6)
    network: Any = design(f"tu-{params.encoder}", encoder_weights=None, in_channels=channels, classes=CLASSES)
    body = network.encoder.model
    weights = encoder.body.get_submodule("net").state_dict()
    body.load_state_dict(widened(weights, body.state_dict()))
    quicken_depthwise(body)
    return Reference(kind, network, encoder), start


def widened(weights: dict[str, Tensor], slots: dict[str, Tensor]) -> dict[str, Tensor]:
    """Returns weights for an encoder with twice the bands: those of the first convolution repeated, and halved."""
    return {
        name: tensor if tensor.shape == slots[name].shape else torch.cat([tensor, tensor], 1) / 2
        for name, tensor in weights.items()
    }


def reference_loss(logits: Tensor, mask: Tensor, weights: Sequence[float]) -> Tensor:
    """Computes weighted cross-entropy + dice over the classes present; un-classified pixels are ignored.

    Args:
        logits: ``(N, 5, H, W)``.
        mask: ``(N, H, W)`` uint8: 0 background, 1..4 damage, 255 un-classified.
        weights: Weight of each class in the cross-entropy.
    """
    known = mask != UNCLASSIFIED
    logits, target = logits.permute(0, 2, 3, 1)[known], mask[known].long()
    if not len(target):
        return logits.sum()
    cross_entropy = functional.cross_entropy(logits, target, logits.new_tensor(weights))
    probability = logits.softmax(1)
    hits = probability.gather(1, target[:, None])[:, 0]
    overlap = logits.new_zeros(CLASSES).scatter_add(0, target, hits)
    truth = torch.bincount(target, minlength=CLASSES)
    dice = 1 - (2 * overlap + 1) / (probability.sum(0) + truth + 1)
    return cross_entropy + dice[truth > 0].mean()


def train_reference(
    kind: Kind, reader: PairReader, network: NetworkParams, params: TrainingParams
) -> tuple[Network, Learned]:
    """Trains a reference until the budget is used up."""
    torch.manual_seed(params.seed)
    model, start = build_reference(kind, network)
    training = _Training(model.to(best_device()).to(memory_format=torch.channels_last), reader, params)
    training.run(kind)
    training.model.load_state_dict(training.kept)
    return Classifier(training.model), training.learned(start)


class Classifier:
    """Predicts the likeliest class of each pixel, for a pair of any size."""

    def __init__(self, model: Reference) -> None:
        self._model, self._device = model, next(model.parameters()).device

    @torch.inference_mode()
    def predict(self, pre: Image, post: Image, disaster_type: str | None = None, /) -> Probabilities:
        """Predicts the five probabilities of ``(H, W, 3)`` uint8 images, as building and damage."""
        del disaster_type
        self._model.eval()
        height, width = pre.shape[:2]
        with autocast(self._device):
            logits = self._model(self._tensor(pre), self._tensor(post))
        probability = logits[0, :, :height, :width].softmax(0).cpu().numpy()
        building = probability[1:].sum(0)
        return Probabilities(building, probability[1:] / np.maximum(building, np.finfo(np.float32).tiny))

    def decide(self, prediction: Probabilities, /) -> Decided:
        """Selects the likeliest of the five; buildings are 8-connected components of the classes."""
        background, damage = 1 - prediction.building, prediction.building * prediction.damage
        classes = np.asarray(np.concatenate([background[None], damage]).argmax(0), np.uint8)
        return Decided(classes, Buildings.from_classes(classes).ids)

    def _tensor(self, image: Image) -> Tensor:
        tensor = torch.from_numpy(image).to(self._device).permute(2, 0, 1)[None].float() / 255
        return functional.pad(tensor, (0, -image.shape[1] % _MULTIPLE, 0, -image.shape[0] % _MULTIPLE), "replicate")


class _Training:
    """The training loop, with the weights to keep."""

    def __init__(self, model: Reference, reader: PairReader, params: TrainingParams) -> None:
        self.model, self._reader, self._params = model, reader, params
        self._source, self._scenes = CropSource(reader, params), chosen_scenes(reader, params.validation_scenes)
        self._device, self._clock = next(model.parameters()).device, clock_of(params.clock)
        self._optimizer = torch.optim.AdamW(_groups(model, params), weight_decay=params.weight_decay, fused=True)
        self._peaks = [group["lr"] for group in self._optimizer.param_groups]
        self._began, self._spent_s, self._steps = self._clock(), 0.0, 0
        self._epochs = self._kept_epoch = 0
        self._kept_scores: Scores | None = None
        self.kept: dict[str, Tensor] = {}

    def run(self, label: str) -> None:
        """Trains until steps or minutes are used up."""
        epoch = self._source.steps_an_epoch
        steps, shown = self._params.epochs * epoch, 0.0
        loader = Loader(self._source.batch, self._params.loader_threads)
        with progress(f"train {label}, %", 100) as advance, loader:
            for step, batch in enumerate(loader.batches(0, steps)):
                share = share_of(step, steps, self._elapsed(), self._params.minutes)
                if share >= 1:
                    break
                loss = self._step(batch, share)
                if self._steps % epoch == 0:
                    self._end_epoch()
                advance(100 * share - shown, note=self._note(loss))
                shown = 100 * share
            if self._steps % epoch or not self.kept:
                self._end_epoch()
        self._spent_s = self._elapsed()

    def learned(self, start: str) -> Learned:
        """Returns the outcome of the training run."""
        return Learned(
            minutes=self._spent_s / 60,
            crops=self._steps * self._params.crops_a_step,
            epochs=self._epochs,
            best_epoch=self._kept_epoch,
            start=start,
            validation=self._kept_scores,
        )

    def _elapsed(self) -> float:
        return self._clock() - self._began

    def _step(self, batch: Batch, share: float) -> float:
        self.model.train()
        for group, peak in zip(self._optimizer.param_groups, self._peaks, strict=True):
            group["lr"] = peak * rate_factor(share, self._params.warmup_share)
        batch = Batch(*(tensor.to(self._device) for tensor in batch))
        with autocast(self._device):
            logits = self.model(batch.pre.float() / 255, batch.post.float() / 255)
        loss = reference_loss(logits, batch.mask, (_BACKGROUND_WEIGHT, *self._params.class_weights))
        self._optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.model.parameters(), self._params.clip_norm)
        self._optimizer.step()
        self._steps += 1
        return float(loss.detach())

    def _end_epoch(self) -> None:
        """Validates, and keeps the weights: always, or only if they are the best so far."""
        self._epochs += 1
        scores = self._validate(self._scenes) if self._scenes else None
        best = scores is None or self._kept_scores is None or scores.score >= self._kept_scores.score
        if best or self._params.keep == "last":
            self._kept_scores, self._kept_epoch = scores, self._epochs
            self.kept = copy.deepcopy(self.model.state_dict())

    def _validate(self, scenes: Sequence[SceneEntry]) -> Scores:
        counts, network = Counts(), Classifier(self.model)
        for entry in scenes:
            pre, post, _ = self._reader.whole(entry.scene)
            classes = network.decide(network.predict(pre, post)).classes
            counts += count_scene(classes, classes, *self._reader.targets(entry.scene))
        return counts.scores()

    def _note(self, loss: float) -> str:
        score = f", score {self._kept_scores.score:.3f}" if self._kept_scores else ""
        return f"epoch {self._epochs + 1}, loss {loss:.3f}{score}"


def _groups(model: Reference, params: TrainingParams) -> list[dict[str, Any]]:
    encoder = [parameter for name, parameter in model.named_parameters() if name.startswith("network.encoder.")]
    others = [parameter for name, parameter in model.named_parameters() if not name.startswith("network.encoder.")]
    rates = (params.learning_rate * params.encoder_rate, params.learning_rate)
    return [{"params": group, "lr": rate} for group, rate in zip((encoder, others), rates, strict=True)]
