"""Params of ``siamese pairs``."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from siamese.params.section import CHOOSES_INPUT, HOW_ONLY, Section, ValueRange


class PairsParams(Section):
    """How scenes become training pairs."""

    split: Literal["official", "event", "scene", "fold"] = Field(
        "scene",
        description="official: by xBD's folders; event: whole events held out; scene: seeded, neighbours together; "
        "fold: the same for cross-validation, one part for test, val_share of the rest for validation.",
    )
    seed: int = Field(1, ge=0, description="Seed of the event, scene and fold splits.")
    val_share: float = Field(
        0.05,
        ge=0,
        lt=1,
        description="Share of scenes for validation; 0 does without. Few are enough for what is fitted on them "
        "(docs/results.md).",
    )
    test_share: float = Field(
        0.15, ge=0, lt=1, description="Share of scenes for test; 0 does without (not split: fold)."
    )
    val_events: tuple[str, ...] = Field((), description="Disasters held out for validation (split: event).")
    test_events: tuple[str, ...] = Field((), description="Disasters held out for test (split: event, or fold).")
    folds: int = Field(3, ge=2, le=100, description="Parts of like scenes, events and classes (split: fold).")
    fold: int = Field(0, ge=0, description="Which of them is test, from 0, unless test_events are named (split: fold).")
    neighbour_gap: float = Field(
        0.5,
        ge=0,
        description="Tiles no further apart than this share of a tile's side share a split (split: scene, fold).",
    )
    unplaced: Literal["train", "spread"] = Field(
        "train",
        description="Scenes of unknown place: train only, so that none sits beside a training scene while it is "
        "scored; or spread over the splits, so that scenes without buildings are scored too (split: scene, fold).",
    )
    keep_splits: bool = Field(
        True,
        description="Scenes that have a split keep it when new scenes come; false shares out all anew (split: event, "
        "scene).",
    )
    twins: Literal["together", "ignore"] = Field(
        "together",
        description="Scenes that are flipped, cut or otherwise changed copies of each other (`siamese duplicates`): "
        "together in one split, those that cannot be are left out of the one held out; or ignore.",
        json_schema_extra=CHOOSES_INPUT,  # the twins that are found
    )
    label_sets: Literal["all", "none"] | tuple[str, ...] = Field(
        "all",
        description="Labels of people (`siamese adapt`, `assess`) to train on where a scene has no labels of its own: "
        "all, none, or digests of label sets. Mapped buildings that nobody labelled are ignored.",
        json_schema_extra=CHOOSES_INPUT,  # the label sets that add to the catalog
    )
    unlabelled: bool = Field(
        False,
        description="Also take scenes without labels, for `siamese pretrain`; not those beside held-out scenes, nor of "
        "held-out events or folders.",
    )
    block_px: int = Field(128, gt=0, multiple_of=16, description="Side of a stored block in pixels.")
    value_range: ValueRange | None = Field(
        None,
        description="Values that become 0 and 255, of imagery wider than 8 bits, e.g. [0, 2047]; null: by the file's "
        "metadata or a sample of its pixels (siamese/geo/values.py). Training and maps should agree.",
    )
    shard_mib: int = Field(64, gt=0, description="Shards are closed at about this size.")
    workers: int = Field(4, gt=0, le=64, description="Scenes prepared at once.", json_schema_extra=HOW_ONLY)

    @model_validator(mode="after")
    def _something_is_left_to_train_on(self) -> Self:
        if self.val_share + self.test_share >= 1:
            raise ValueError("val_share and test_share leave nothing for training")
        if self.fold >= self.folds:
            raise ValueError(f"fold {self.fold} of {self.folds}: the last one is {self.folds - 1}")
        both = sorted(set(self.val_events) & set(self.test_events))
        if both:
            raise ValueError(f"held out for both validation and test: {', '.join(both)}")
        return self
