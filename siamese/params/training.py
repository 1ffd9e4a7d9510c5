"""Params of ``siamese train``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from siamese.params.section import HOW_ONLY, Section

Weight = Annotated[float, Field(ge=0, le=1000)]
Vote = Annotated[float, Field(gt=0, le=1000)]
Repeats = Annotated[int, Field(ge=1, le=100)]


class TrainingParams(Section):
    """How the network is trained."""

    epochs: int = Field(30, gt=0, description="Most epochs; one shows as many crops as cover all scenes.")
    minutes: float | None = Field(None, gt=0, description="Stop after about this many minutes, over all restarts.")
    clock: Literal["wall", "processor"] = Field(
        "wall",
        description="What minutes are counted by: wall, or the process's processor time over the network's threads, "
        "so that other load on the machine does not change how much is learned.",
    )
    seed: int = Field(1, ge=0, description="Same seed, same machine, same weights (when minutes is not set).")
    batch: int = Field(16, gt=0, le=1024, description="Crops in one batch, over all processes.")
    accumulate: int = Field(
        1, gt=0, le=1024, description="Batches whose gradients make one step; losses and batch norm see one at a time."
    )
    precision: Literal["auto", "bf16", "fp16", "fp32"] = Field(
        "auto",
        description="Number format of the network; auto: bf16 where the hardware multiplies it, else fp32. fp16 needs "
        "a GPU.",
    )
    crop_px: int = Field(256, gt=0, le=4096, multiple_of=32, description="Side of a crop in pixels.")
    crop_candidates: int = Field(
        6, gt=0, le=100, description="Of 1 to this many random crops the most damaged is taken."
    )
    crop_weights: tuple[Weight, Weight, Weight, Weight] = Field(
        (1.0, 5.0, 5.0, 2.0), description="Weight of a pixel of each damage class in that choice."
    )

    scene_repeats: tuple[Repeats, Repeats, Repeats] = Field(
        (1, 1, 1),
        description="How often a round over the scenes shows one without damage, one with destroyed buildings only, "
        "and one with minor or major damage.",
    )

    learning_rate: float = Field(2e-3, gt=0, description="Peak learning rate of the schedule.")
    encoder_rate: float = Field(0.5, ge=0, description="Learning rate of the encoder, as a share of the others'.")
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="Learning rate of each encoder scale, as a share of the next deeper one's."
    )
    weight_decay: float = Field(1e-2, ge=0)
    warmup_share: float = Field(0.05, ge=0, lt=1, description="Share of the training while the rate rises.")
    localization_share: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of the training that comes first and learns localization alone, on pre images; the damage "
        "network starts from its weights, and the rate rises again (network.localization: pre).",
    )
    frozen_scales: int = Field(
        2,
        ge=0,
        le=8,
        description="Shallow encoder scales that keep their first weights, at most all; 0 with a random start.",
    )
    clip_norm: float = Field(1.0, gt=0, description="Gradients are clipped to this norm.")
    ema_decay: float = Field(0.99, ge=0, lt=1, description="Decay of the averaged weights, which are kept.")

    loss: Literal["focal_dice", "focal", "dice", "cross_entropy", "lovasz", "ordinal"] = Field(
        "ordinal", description="Kind of loss; damage is weighted by class in all of them."
    )
    focal_gamma: float = Field(2.0, ge=0, description="Focal loss: how much less easy pixels count.")
    dice_weight: float = Field(1.0, ge=0, description="Weight of the Dice loss beside the focal loss.")
    damage_weight: float = Field(1.0, ge=0, description="Weight of the damage loss beside the localization loss.")
    deep_weight: float = Field(0.3, ge=0, description="Weight of losses at coarser scales beside the full one.")
    class_weights: tuple[Weight, Weight, Weight, Weight] = Field(
        (1.0, 3.0, 3.0, 2.0), description="Weight of each damage class in the losses."
    )

    building_threshold: float = Field(
        0.45,
        gt=0,
        lt=1,
        description="A pixel is building from this probability, where validation scenes do not clearly ask for "
        "another. The official damage score takes missed pixels of a building for wrong, and never sees false ones.",
    )
    damaged_threshold: float = Field(0.35, gt=0, lt=1, description="The same, where damage is more likely than not.")
    building_peak: float = Field(
        0.7,
        ge=0,
        lt=1,
        description="A building begins at a core, pixels side by side that reach this probability; what grows from "
        "two cores is two buildings, and where there is no core there is none.",
    )
    minimum_core_px: int = Field(8, ge=0, description="Smaller cores are discarded.")
    growth_px: int = Field(16, ge=0, le=256, description="A building extends at most this many pixels beyond its core.")
    vote_weights: tuple[Vote, Vote, Vote, Vote] = Field(
        (1.0, 2.0, 2.0, 1.4),
        description="Weight of each damage class in a building's vote, where validation scenes do not clearly ask for "
        "others. A harmonic mean of F1 is best when a rare class wins well before it is the likeliest.",
    )

    post_shift_px: float = Field(8.0, ge=0, description="The post image alone is shifted by up to this much.")
    post_rotate_deg: float = Field(3.0, ge=0, le=180, description="The post image alone is turned by up to this much.")
    post_scale: float = Field(0.03, ge=0, lt=1, description="The post image alone is scaled by up to this share.")
    colour_jitter: float = Field(0.3, ge=0, le=1, description="Strength of the colour changes, drawn for each date.")
    zoom: float = Field(0.3, ge=0, lt=1, description="Both images and the mask are scaled by up to this share.")

    dilate_px: int = Field(
        0, ge=0, le=16, description="Buildings of the training mask are dilated by this much (2: 5x5, as the winner's)."
    )
    unknown_disaster: float = Field(
        0.3, ge=0, le=1, description="Share of the crops whose disaster type is kept from the network."
    )

    validate_every: int = Field(
        3,
        gt=0,
        description="Epochs from one validation to the next; on few scenes one takes a tenth of an epoch's time.",
    )
    keep: Literal["last", "best"] = Field(
        "last",
        description="Which averaged weights are published. last: those at the end, when the rate has fallen; best: "
        "those of the epoch with the best validation score, which on few validation scenes is mostly luck.",
    )
    validation_scenes: int = Field(64, gt=0, description="At most this many validation scenes, evenly chosen.")
    checkpoint_seconds: float = Field(
        60.0, gt=0, description="Time between two resumable states.", json_schema_extra=HOW_ONLY
    )
    loader_threads: int = Field(2, gt=0, le=64, description="Crops prepared at once.", json_schema_extra=HOW_ONLY)
    processes: int = Field(
        1,
        gt=0,
        le=64,
        description="Processes on this machine that share the crops of every batch, e.g. one for each GPU.",
        json_schema_extra=HOW_ONLY,
    )

    @property
    def crops_a_step(self) -> int:
        """Number of crops in one update of the weights."""
        return self.batch * self.accumulate
