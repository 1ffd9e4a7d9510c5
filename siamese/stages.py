"""All declared stages, and the lock that requires a reason for code changes without a new stage version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from siamese.adaptation.stage import ADAPTED, ASSESSMENT, LABEL_SET, SAMPLE
from siamese.duplicates.stage import DUPLICATES, FINGERPRINTS
from siamese.embedding.stage import EMBEDDING_INDEX, SEARCH_INDEX
from siamese.errors import SiameseError
from siamese.evaluation.stage import EVALUATION
from siamese.ingest.stage import CATALOG
from siamese.mapping.stage import BUILDING_SET, DAMAGE_MAP, PREDICTION
from siamese.pairs.stage import PAIR_SET
from siamese.pretraining.stage import PRETRAINING
from siamese.quantization.stage import QUANTIZED
from siamese.registry.stage import MODEL_VERSION
from siamese.reporting.stage import MAP_PRODUCTS
from siamese.similarity.stage import ITEM_SET, SIMILARITY_EVALUATION, SIMILARITY_MODEL
from siamese.store import Stage
from siamese.store.provenance import code_version
from siamese.training.stage import CHECKPOINT
from siamese.viewing.stage import MAP_PAGE

STAGES: tuple[Stage[Any], ...] = (
    CATALOG,
    FINGERPRINTS,
    DUPLICATES,
    PAIR_SET,
    PRETRAINING,
    CHECKPOINT,
    QUANTIZED,
    EVALUATION,
    MODEL_VERSION,
    PREDICTION,
    BUILDING_SET,
    DAMAGE_MAP,
    LABEL_SET,
    ADAPTED,
    SAMPLE,
    ASSESSMENT,
    MAP_PRODUCTS,
    MAP_PAGE,
    EMBEDDING_INDEX,
    SEARCH_INDEX,
    ITEM_SET,
    SIMILARITY_MODEL,
    SIMILARITY_EVALUATION,
)
LOCK_FILE = Path(__file__).parents[1] / "stages.lock"
_HEAD = "# Written by `siamese stages --write`: code that changes under one version needs a stated reason.\n"


class Locked(BaseModel):
    """The lock's entry for one stage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    code: str = Field(description="Hash of the code that the stage reaches.")
    same_results: str | None = Field(
        None, description="Why code that changed under this version still gives the same results."
    )
    neutral: dict[str, dict[str, Any]] = Field(description="Neutral values of its params, by section.")


def declared_versions() -> dict[str, int]:
    """Returns the version of every stage, by name."""
    return {stage.noun: stage.version for stage in STAGES}


def present(stage: Stage[Any], same_results: str | None = None) -> Locked:
    """Returns the lock entry for the current state of a stage."""
    neutral = {name: section.neutral() for name, section in stage.sections.items()}
    return Locked(version=stage.version, code=code_version(stage.package), same_results=same_results, neutral=neutral)


def read_lock(path: Path = LOCK_FILE) -> dict[str, Locked]:
    """Reads the lock; empty when there is none, e.g. in an installed package.

    Raises:
        SiameseError: The file is not a lock.
    """
    if not path.is_file():
        return {}
    try:
        tree = yaml.safe_load(path.read_text()) or {}
        return {name: Locked.model_validate(entry) for name, entry in tree.items()}
    except (yaml.YAMLError, ValidationError, AttributeError) as error:
        what = f"not a lock of stages: {' '.join(str(error).split())}"
        raise SiameseError(what, where=str(path), fix="restore it from git") from error


def disagreement(stage: Stage[Any], lock: Mapping[str, Locked]) -> str | None:
    """Describes how a stage and the lock disagree, and what to do about it; None when they agree."""
    kept, now = lock.get(stage.noun), present(stage)
    write = "run `siamese stages --write`"
    if kept is None:
        return f"{stage.noun}: is not in stages.lock — {write}"
    if now.version < kept.version:
        return f"{stage.noun}: version {now.version} is older than the lock's {kept.version} — never lower a version"
    if now.version > kept.version:
        return f"{stage.noun}: version {now.version}, the lock has {kept.version} — {write}"
    if changed := list(_changed(kept.neutral, now.neutral)):
        fix = f"declare the former value as neutral(…) or raise the version in {stage.package}.stage"
        return f"{stage.noun}: the neutral value of {', '.join(changed)} changed — {fix}"
    if now.code != kept.code:
        fix = f"raise the version in {stage.package}.stage, or `siamese stages --write --same-results 'why'`"
        return f"{stage.noun}: its code changed ({kept.code} to {now.code}) under version {now.version} — {fix}"
    if now.neutral != kept.neutral:
        return f"{stage.noun}: has new params — {write}"
    return None


def write_lock(same_results: str | None = None, path: Path = LOCK_FILE) -> tuple[str, ...]:
    """Brings the lock up to date.

    Args:
        same_results: Why stages whose code changed under the same version still give the same results.
        path: The lock file.

    Returns:
        The stages whose entries changed.

    Raises:
        SiameseError: Code changed under the same version and no reason was given, or a version was lowered.
    """
    lock, new = read_lock(path), {}
    for stage in STAGES:
        kept, now = lock.get(stage.noun), present(stage)
        if kept is None or now.version > kept.version:
            new[stage.noun] = now
            continue
        told = disagreement(stage, lock)
        refused = now.version < kept.version or list(_changed(kept.neutral, now.neutral))
        if told and (refused or (now.code != kept.code and not same_results)):
            what, _, fix = told.partition(" — ")
            raise SiameseError(what, where=str(path), fix=fix)
        new[stage.noun] = present(stage, same_results) if now.code != kept.code else now.model_copy(
            update={"same_results": kept.same_results}
        )  # fmt: skip
    tree = {name: entry.model_dump(mode="json") for name, entry in new.items()}
    path.write_text(_HEAD + yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=120))
    return tuple(name for name, entry in new.items() if lock.get(name) != entry)


def _changed(kept: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for section, values in kept.items():
        for name, value in values.items():
            if now.get(section, {}).get(name, value) != value:
                yield f"{section}.{name}"
