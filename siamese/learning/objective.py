"""Training objectives: the part of a task that needs neither storage nor servers, only tensors."""

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
        loss: A scalar from which gradients are computed.
        figures: Further numbers whose means over an epoch are tracked.
    """

    loss: Tensor
    figures: Mapping[str, float] = {}


class Objective(ABC, Generic[N, B, O]):
    """Defines how a network ``N`` learns from batches ``B``: tuples of tensors whose first axis runs over the examples.

    Attributes:
        recipe: What the engine needs to know.
    """

    recipe: Recipe

    @abstractmethod
    def groups(self, network: N) -> list[dict[str, Any]]:
        """Returns parameter groups for the optimizer, each with its peak ``lr`` and its ``weight_decay``.

        Raises:
            SiameseError: The network does not fit the params.
        """

    @abstractmethod
    def forward(self, network: N, batch: B, share: float) -> O:
        """Runs the network on this process's part of a batch, in the run's number format.

        Args:
            network: The network being trained.
            batch: On the network's device.
            share: The run's completed share, 0..1.

        Returns:
            Everything that :meth:`loss` needs: tensors whose first axis runs over the examples, in tuples.
        """

    @abstractmethod
    def loss(self, output: O, share: float) -> Scored:
        """Computes the loss from the result of :meth:`forward`, for the examples of all processes, in float32."""

    def frozen(self, network: N) -> Sequence[nn.Module]:
        """Returns the parts of the network that are not trained, including their statistics."""
        del network
        return ()

    def rate_at(self, share: float) -> float:
        """Returns the learning rate at a point of the run, as a share of its peak."""
        return rate_factor(share, self.recipe.warmup_share)

    def before_step(self, network: N, average: N | None, last: float, share: float) -> None:
        """Changes weights between two steps, e.g. where one stage ends and the next begins.

        Args:
            network: The network being trained.
            average: The average of its weights, if there is one.
            last: The run's completed share at the last step.
            share: The run's completed share now.
        """

    def after_step(self, network: N, share: float) -> None:
        """Updates whatever tracks the weights, e.g. a teacher."""
