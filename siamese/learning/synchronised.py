"""Batch norm with statistics over the crops of all processes; on any device, GPU or not."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from siamese.learning.collectives import rank, total, world


def synchronise(network: nn.Module) -> None:
    """Replaces every batch norm in ``network`` with one of this module; names and weights are kept."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d) and child.affine and child.track_running_stats:
                setattr(module, name, SynchronisedBatchNorm(child))


class SynchronisedBatchNorm(nn.Module):
    """A batch norm with the weights and statistics of an existing one."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.weight, self.bias = norm.weight, norm.bias
        for name, buffer in norm.named_buffers(recurse=False):
            self.register_buffer(name, buffer)
        self.eps, self.momentum = norm.eps, norm.momentum
        # timm's batch norm also contains the layers that follow it.
        self.following = nn.Sequential(*(getattr(norm, name) for name in ("drop", "act") if hasattr(norm, name)))

    def forward(self, images: Tensor) -> Tensor:
        """Normalises ``(N, C, H, W)``."""
        if self.training:
            normal = self._normalised(images)
        else:
            given = (self.running_mean, self.running_var, self.weight, self.bias)
            normal = functional.batch_norm(images, *given, eps=self.eps)
        outcome: Tensor = self.following(normal)
        return outcome

    def _normalised(self, images: Tensor) -> Tensor:
        variance, mean = torch.var_mean(images.float(), (0, 2, 3), correction=0)
        mine = torch.zeros(world(), device=mean.device)
        mine[rank()] = 1
        means, variances = total(mine[:, None, None] * torch.stack([mean, variance])).unbind(1)
        mean = means.mean(0)
        # Processes have equally many crops, so the total variance is the mean of theirs plus that between their means.
        variance = (variances + (means - mean).square()).mean(0)
        self._remember(mean.detach(), variance.detach(), world() * images.numel() // images.shape[1])
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shift = self.bias - mean * scale
        return (images * scale[:, None, None] + shift[:, None, None]).to(images.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        self.num_batches_tracked += 1
        momentum = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance * count / max(1, count - 1), momentum)
