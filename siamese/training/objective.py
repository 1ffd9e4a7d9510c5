"""The objective of damage training: buildings and damage from both dates, or localization from the pre image first."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from siamese.learning.objective import Objective, Scored
from siamese.learning.recipe import Recipe
from siamese.learning.schedule import rate_factor
from siamese.model.network import NetworkOutput, SiameseUNet
from siamese.params import TrainingParams
from siamese.training.crops import Batch
from siamese.training.groups import parameter_groups, shallow_parts
from siamese.training.losses import total_loss
from siamese.training.stages import check_stages, inherit, localized, stage_of

Output = tuple[NetworkOutput, Tensor]
"""Logits, and the mask ``(N, H, W)`` uint8 that they should predict."""


class DamageObjective(Objective[SiameseUNet, Batch, Output]):
    """Trains logits of buildings and damage against a mask, stage by stage."""

    def __init__(self, params: TrainingParams) -> None:
        self.recipe = Recipe.of("training", params)
        self.params = params

    def frozen(self, network: SiameseUNet) -> tuple[nn.Module, ...]:
        """Returns the shallow scales of the encoder."""
        check_stages(network, self.params)
        return shallow_parts(network, self.params.frozen_scales)

    def groups(self, network: SiameseUNet) -> list[dict[str, Any]]:
        """Returns groups with a learning rate per scale of the encoder; biases and batch norm have no weight decay."""
        return parameter_groups(network, self.params)

    def forward(self, network: SiameseUNet, batch: Batch, share: float) -> Output:
        """Returns the logits of both dates, or of the pre images while localization is learned first."""
        pre = batch.pre.float() / 255
        if stage_of(share, self.params) == "localization":
            return localized(network, pre), batch.mask
        return network(pre, batch.post.float() / 255, batch.disaster), batch.mask

    def loss(self, output: Output, share: float) -> Scored:
        """Computes the loss of localization, and in the damage stage that of damage."""
        params = self.params
        if stage_of(share, params) == "localization":
            params = params.model_copy(update={"damage_weight": 0.0})
        return Scored(total_loss(*output, params))

    def rate_at(self, share: float) -> float:
        """Returns the learning rate, which rises and falls within each stage."""
        first = self.params.localization_share
        own = share / first if share < first else (share - first) / (1 - first)
        return rate_factor(own, self.params.warmup_share)

    def before_step(self, network: SiameseUNet, average: SiameseUNet | None, last: float, share: float) -> None:
        """Initialises the damage decoder as a copy of the localization decoder."""
        if (stage_of(last, self.params), stage_of(share, self.params)) == ("localization", "damage"):
            for each in (network, average):
                if each is not None:
                    inherit(each)
