"""Published checkpoints with scores to order: the gate reads them where ``evaluate`` would have put them."""

from __future__ import annotations

import io
import secrets
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion as RemoteVersion

from siamese.classes import DAMAGE_CLASSES
from siamese.evaluation.stage import EVALUATION
from siamese.manifests import Checkpoint, Evaluation, ModelVersion, PairSet, Scores, Split
from siamese.metrics import Counts, Tally
from siamese.pairs.stage import PAIR_SET
from siamese.params import EvaluationParams, PairsParams, PromotionParams, TrainingParams
from siamese.registry import Ruling, promote, register
from siamese.stack.ports import choose
from siamese.store import Blob, ObjectStore, S3Uri, put_blob
from siamese.training.stage import CHECKPOINT

NO_FLOORS = dict.fromkeys(("minimum_localization_f1", *(f"minimum_f1_{name}" for name in DAMAGE_CLASSES)), 0.0)


def dead_server() -> str:
    """Address at which nothing answers."""
    return f"http://127.0.0.1:{choose({}, {'nobody': None})['nobody']}"


@dataclass(frozen=True)
class World:
    """One model's surroundings."""

    store: ObjectStore
    client: MlflowClient
    pairs: PairSet
    params: PromotionParams
    evaluation: EvaluationParams
    folder: Path

    @classmethod
    def make(cls, store: ObjectStore, client: MlflowClient, folder: Path) -> World:
        """Publishes the pair set and thinks of a name."""
        pairs = _pair_set(store, "c0ffee", {"flood_1": "test"})
        pairs.mark_latest(store)
        params = PromotionParams(model=f"damage-{secrets.token_hex(4)}", minimum_gain=0.05, **NO_FLOORS)
        return cls(store, client, pairs, params, EvaluationParams(), folder)

    def on(self, splits: dict[str, Split]) -> World:
        """The same model on a pair set with these scenes."""
        return replace(self, pairs=_pair_set(self.store, secrets.token_hex(8), splits))

    def checkpoint(self, score: float, f1: float = 0.5, absent: Collection[str] = ()) -> tuple[Checkpoint, Evaluation]:
        """A checkpoint that scores so."""
        seed = secrets.token_hex(8)
        origin = CHECKPOINT.plan(inputs={"pairs": self.pairs, "seed": seed}, params={"training": TrainingParams()})
        made = Checkpoint(
            origin=origin,
            weights=self._blob(Checkpoint, origin.digest, "weights.safetensors", f"weights {seed}"),
            network=self._blob(Checkpoint, origin.digest, "network.json", "{}"),
            curves=self._blob(Checkpoint, origin.digest, "curves.csv", "epoch"),
            pairs=self.pairs.digest,
            epochs=1,
            best_epoch=1,
            run_id=None,
        ).publish(self.store)
        return made, self.evaluate(made, score, f1, absent)

    def evaluate(self, checkpoint: Checkpoint, score: float, f1: float, absent: Collection[str] = ()) -> Evaluation:
        """Publishes what ``evaluate`` would find on a split without the classes that are absent."""
        origin = EVALUATION.plan(
            inputs={"checkpoint": checkpoint, "pairs": self.pairs}, params={"evaluation": self.evaluation}
        )
        classes = {f"damage_f1_{name}": 0.0 if name in absent else f1 for name in DAMAGE_CLASSES}
        counts = Counts(**{name: Tally(fn=0 if name in absent else 1) for name in ("localization", *DAMAGE_CLASSES)})
        report = f'{{"counts": {counts.model_dump_json()}}}'
        return Evaluation(
            origin=origin,
            checkpoint=checkpoint.digest,
            pairs=self.pairs.digest,
            split="test",
            scores=Scores(score=score, localization_f1=f1, damage_f1=f1, **classes),
            report=self._blob(Evaluation, origin.digest, "report.json", report),
            scenes=self._blob(Evaluation, origin.digest, "scenes.csv", "scene"),
        ).publish(self.store)

    def registered(self, score: float, f1: float = 0.5, absent: Collection[str] = ()) -> ModelVersion:
        """A registered version that scores so."""
        return register(*self.checkpoint(score, f1, absent), self.params, self.store)

    def promoted(self, score: float) -> ModelVersion:
        """A version that the gate let through."""
        version = self.registered(score)
        assert self.gate(version).entry.kind == "promote"
        return version

    def gate(self, version: ModelVersion, **changes: float) -> Ruling:
        """Passes a version through the gate."""
        params = self.params.model_copy(update=changes)
        return promote(version, self.pairs, params, self.evaluation, self.store)

    def versions(self) -> list[RemoteVersion]:
        """What MLflow has."""
        return list(self.client.search_model_versions(f"name = '{self.params.model}'"))

    def aliases(self) -> dict[str, int]:
        """What MLflow says."""
        found = self.client.get_registered_model(self.params.model).aliases
        return {alias: int(version) for alias, version in found.items()}

    def damage_weights(self, version: ModelVersion) -> None:
        """Overwrites a version's weights on the bucket."""
        weights = Checkpoint.load(self.store, version.checkpoint).weights
        self.store.put(S3Uri.parse(weights.uri), b"other bytes")

    def _blob(self, kind: type[Checkpoint] | type[Evaluation], digest: str, name: str, text: str) -> Blob:
        return put_blob(self.store, kind.folder(self.store, digest), name, text.encode())


def _pair_set(store: ObjectStore, catalog: str, splits: dict[str, Split]) -> PairSet:
    origin = PAIR_SET.plan(inputs={"catalog": catalog}, params={"pairs": PairsParams()})
    origin = origin.model_copy(update={"sources": {"catalog": catalog}})
    table = io.BytesIO()
    pq.write_table(pa.table({"scene": list(splits), "split": list(splits.values())}), table)
    blob = put_blob(store, PairSet.folder(store, origin.digest), "index.parquet", table.getvalue())
    return PairSet(
        origin=origin, index=blob, buildings=blob, statistics=blob, shards=(), block_px=256, splits={}
    ).publish(store)
