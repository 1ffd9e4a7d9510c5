"""Damage training as a task of the learning engine."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from torch import Tensor

from siamese.learning.recipe import Recipe
from siamese.learning.states import Progress
from siamese.learning.task import Beat, Judgement, Published, Task
from siamese.manifests import Checkpoint, PairSet, Pretraining
from siamese.model import Predictor, SiameseUNet, put_network
from siamese.model.imagenet import RANDOM
from siamese.pairs import TRAINING_MEMORY, PairReader, SceneEntry
from siamese.params import NetworkParams, TrainingParams
from siamese.params.section import Section
from siamese.store import ObjectStore, Origin, put_blob
from siamese.store.stage import Input
from siamese.training.crops import Batch, CropSource, check_scenes, check_shares
from siamese.training.objective import DamageObjective, Output
from siamese.training.pictures import as_png, example_row
from siamese.training.stage import CHECKPOINT
from siamese.training.start import first_network, seeded_network
from siamese.training.validation import chosen_scenes, fit_decision, start_decision, validate

_PICTURES = 4


class DamageTask(Task[SiameseUNet, Batch, Output, Checkpoint]):
    """Trains the Siamese U-Net on a pair set."""

    verb, examples, shown, kind = "train", "crops", ("score", "localization_f1"), Checkpoint

    def __init__(
        self,
        pairs: PairSet,
        network: NetworkParams,
        params: TrainingParams,
        parent: Checkpoint | Pretraining | None,
        store: ObjectStore,
    ) -> None:
        self.recipe, self.store = Recipe.of("training", params), store
        self.partial_steps = params.localization_share > 0
        self._pairs, self._network, self._params, self._parent = pairs, network, params, parent
        self._decision = start_decision(params)

    @property
    def origin(self) -> Origin:
        """The digest of pair set, parent and params."""
        return plan_training(self._pairs, self._network, self._params, self._parent)

    @property
    def sections(self) -> Mapping[str, Section]:
        """Returns the sections network and training."""
        return {"network": self._network, "training": self._params}

    @property
    def lineage(self) -> Mapping[str, str]:
        """Returns the digests of the pair set and of everything it was made from."""
        return {"pairs": self._pairs.digest, **self._pairs.origin.sources}

    def check_processes(self, count: int) -> None:
        """Rejects a number of processes that does not divide the batch."""
        check_shares(self._params, count)

    def build(self, *, fresh: bool) -> tuple[SiameseUNet, str]:
        """Builds the network with its initial weights, or with the random ones of its seed."""
        if fresh:
            return first_network(self._network, self._params.seed, self.store, self._parent)
        return seeded_network(self._network, self._params.seed), RANDOM

    def objective(self, start: str) -> DamageObjective:
        """Returns the objective; random weights are never frozen."""
        frozen = {"frozen_scales": 0} if start == RANDOM else {}
        return DamageObjective(self._params.model_copy(update=frozen))

    def source(self, network: SiameseUNet, rank: int, world: int) -> CropSource:
        """Returns crops of the train split."""
        bands = network.params.input_bands
        check_scenes(self._validation, bands)
        return CropSource(self._reader, self._params, bands=bands, rank=rank, world=world)

    def judges_at(self, share: float) -> bool:
        """Returns true from the damage stage on."""
        return share >= self._params.localization_share

    def judge(self, network: SiameseUNet, beat: Beat) -> Judgement | None:
        """Computes the official scores on the validation split."""
        if not self._validation:
            return None
        scores = validate(network, self._reader, self._validation, self._decision, beat).scores()
        return Judgement(scores.score, scores.model_dump())

    def picture(self, network: SiameseUNet) -> bytes | None:
        """Draws pre, post, truth and prediction of the validation scenes with the most buildings."""
        if not self._validation:
            return None
        predictor = Predictor(network, self._decision)
        busiest = sorted(self._validation, key=lambda entry: -int(entry.pixels[..., 1:5].sum()))[:_PICTURES]
        rows = []
        for entry in busiest:
            pre, post, mask = self._reader.whole(entry.scene)
            rows.append(example_row(pre, post, mask, predictor.classify(pre, post, entry.disaster_type)))
        return as_png(rows)

    def publish(self, network: SiameseUNet, progress: Progress, curves: bytes, beat: Beat) -> Published[Checkpoint]:
        """Publishes the network with the decision fitted on the validation split."""
        counts, decision = fit_decision(network, self._reader, self._validation, self._decision, beat)
        origin, store = self.origin, self.store
        folder = Checkpoint.folder(store, origin.digest)
        tensors: dict[str, Tensor] = network.state_dict()
        weights, config = put_network(store, folder, tensors, self._network, decision, progress.start)
        checkpoint = Checkpoint(
            origin=origin,
            task="damage",
            weights=weights,
            network=config,
            curves=put_blob(store, folder, "curves.csv", curves, "text/csv"),
            pairs=origin.sources["pairs"],
            epochs=len(progress.rows),
            best_epoch=progress.best_epoch,
            start=progress.start,
            minutes=progress.elapsed_s / 60,
            validation=counts.scores() if self._validation else None,
            run_id=progress.run_id,
        ).publish(store)
        scores = checkpoint.validation.model_dump() if checkpoint.validation else {}
        files = {"checkpoint.json": checkpoint.model_dump_json(indent=1).encode(), "network.json": config.read(store)}
        return Published(checkpoint, {f"final_{name}": value for name, value in scores.items()}, files)

    @cached_property
    def _reader(self) -> PairReader:
        return PairReader(self.store, self._pairs, cache=self.store.settings.cache, memory_limit=TRAINING_MEMORY)

    @cached_property
    def _validation(self) -> tuple[SceneEntry, ...]:
        return chosen_scenes(self._reader, self._params.validation_scenes)


def plan_training(
    pairs: PairSet, network: NetworkParams, params: TrainingParams, parent: Checkpoint | Pretraining | None = None
) -> Origin:
    """Returns the digest under which a training run is published, known before it runs."""
    inputs: dict[str, Input] = {"pairs": pairs}
    if parent:
        inputs["parent"] = parent
    return CHECKPOINT.plan(inputs=inputs, params={"network": network, "training": params})
