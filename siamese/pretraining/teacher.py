"""Teachers: copies of a network that follow it slowly."""

from __future__ import annotations

import copy
import math
from typing import TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


def teacher_of(student: M) -> M:
    """Returns a copy that receives no gradient. Its batch norm takes statistics from its own inputs."""
    return copy.deepcopy(student).requires_grad_(False)


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """Moves each weight of a teacher by ``1 - momentum`` of the distance to the student's."""
    torch._foreach_lerp_(list(teacher.parameters()), list(student.parameters()), 1 - momentum)


def momentum_at(progress: float, base: float) -> float:
    """Returns half a cosine from ``base`` at the start up to 1 at the end (Grill et al. 2020, section 3.2)."""
    return 1 - (1 - base) * (math.cos(math.pi * progress) + 1) / 2
