"""What a network learns: the part of a task that needs neither storage nor servers, only tensors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from torch import Tensor, nn

from siamese.learning.recipe import Recipe
from siamese.learning.schedule import rate_factor

N = TypeVar("N", bound=nn.Module)
B = TypeVar("B", bound=tuple[Any, ...])
O = TypeVar("O")  # noqa: E741


class Scored(NamedTuple):
    """The loss of a batch.

    Attributes:
        loss: One number, which gradients are taken of.
        figures: Further numbers; their means over an epoch are tracked.
    """

    loss: Tensor
    figures: Mapping[str, float] = {}


class Objective(ABC, Generic[N, B, O]):
    """How a network ``N`` learns from batches ``B``: tuples of tensors whose first axis is that of the examples.

    Attributes:
        recipe: What the engine needs to know.
    """

    recipe: Recipe

    @abstractmethod
    def groups(self, network: N) -> list[dict[str, Any]]:
        """Parameter groups for the optimizer, each with its peak ``lr`` and its ``weight_decay``.

        Raises:
            SiameseError: The network does not suit the params.
        """

    @abstractmethod
    def forward(self, network: N, batch: B, share: float) -> O:
        """Runs the network on this process's part of a batch, in the run's number format.

        Args:
            network: What learns.
            batch: On the network's device.
            share: How far the run is, 0..1.

        Returns:
            All that :meth:`loss` needs: tensors whose first axis is that of the examples, in tuples.
        """

    @abstractmethod
    def loss(self, output: O, share: float) -> Scored:
        """The loss of what :meth:`forward` returned, for the examples of all processes, in float32."""

    def frozen(self, network: N) -> Sequence[nn.Module]:
        """Parts of the network that do not learn, statistics included."""
        del network
        return ()

    def rate_at(self, share: float) -> float:
        """The learning rate at a point of the run, as a share of its peak."""
        return rate_factor(share, self.recipe.warmup_share)

    def before_step(self, network: N, average: N | None, last: float, share: float) -> None:
        """Changes weights between two steps, e.g. where one stage ends and the next begins.

        Args:
            network: What learns.
            average: The average of its weights, where there is one.
            last: How far the run was at the last step.
            share: How far it is now.
        """

    def after_step(self, network: N, share: float) -> None:
        """Changes what follows the weights, e.g. a teacher."""
