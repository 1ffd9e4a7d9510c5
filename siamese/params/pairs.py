"""Params of ``siamese pairs``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from siamese.params.section import HOW_ONLY, Section


class PairsParams(Section):
    """How scenes become training pairs."""

    split: Literal["official", "event", "scene"] = Field(
        "scene",
        description="official: by xBD's folders; event: whole events held out; scene: seeded, neighbours together.",
    )
    seed: int = Field(1, ge=0, description="Seed of the scene split.")
    val_share: float = Field(0.15, ge=0, lt=1, description="Share of scenes for validation.")
    test_share: float = Field(0.15, ge=0, lt=1, description="Share of scenes for test.")
    val_events: tuple[str, ...] = Field((), description="Disasters held out for validation (split: event).")
    test_events: tuple[str, ...] = Field((), description="Disasters held out for test (split: event).")
    block_px: int = Field(256, gt=0, multiple_of=16, description="Side of a stored block in pixels.")
    shard_mib: int = Field(64, gt=0, description="Shards are closed at about this size.")
    workers: int = Field(4, gt=0, le=64, description="Scenes prepared at once.", json_schema_extra=HOW_ONLY)
