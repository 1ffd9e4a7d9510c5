"""Results in use, current maps and champions, and which of them an earlier version of a stage made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from siamese.adaptation.stage import ADAPTED
from siamese.errors import NotPublishedError
from siamese.manifests import Checkpoint, DamageMap, SimilarityModel
from siamese.mapping.stage import BUILDING_SET, DAMAGE_MAP, PREDICTION
from siamese.quantization.stage import QUANTIZED
from siamese.registry.ledger import RegisteredModel, champions
from siamese.similarity.stage import SIMILARITY_MODEL
from siamese.store import ObjectStore
from siamese.training.stage import CHECKPOINT

VERSIONS: Mapping[str, int] = {
    stage.noun: stage.version
    for stage in (PREDICTION, BUILDING_SET, ADAPTED, DAMAGE_MAP, CHECKPOINT, QUANTIZED, SIMILARITY_MODEL)
}
"""The current version of each stage that makes a map or a model, by name."""


@dataclass(frozen=True)
class InUse:
    """Results in use."""

    maps: int
    """Events that have a current map."""
    older_maps: int
    """Of them, made by an earlier version of any of their stages."""
    older_champions: tuple[str, ...]
    """Name and version of each champion that an earlier version of its stage made."""


def results_in_use(store: ObjectStore, versions: Mapping[str, int] = VERSIONS) -> InUse:
    """Counts the results in use; reads the pointer of each map and the manifest of each champion.

    Args:
        store: Holds the results.
        versions: The current version of each stage, by name.

    Raises:
        SiameseError: Storage does not answer.
    """
    maps = DamageMap.current_versions(store)
    older = [made for made in maps if any(made[stage] < versions.get(stage, 0) for stage in made)]
    names = [
        f"{name} version {champion.version}"
        for name, champion in champions(store).items()
        if _is_older(champion, store, versions)
    ]
    return InUse(len(maps), len(older), tuple(names))


def _is_older(champion: RegisteredModel, store: ObjectStore, versions: Mapping[str, int]) -> bool:
    for kind in (Checkpoint, SimilarityModel):
        try:
            made = kind.load(store, champion.checkpoint).origin
        except NotPublishedError:
            continue
        return not made.stage or made.version < versions.get(made.stage, 0)
    return False
