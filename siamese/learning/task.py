"""A kind of learning as the engine sees it: what goes in, what is learned, how it is judged, what is published."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Generic, NamedTuple, Protocol, TypeVar

from siamese.learning.objective import B, N, O, Objective
from siamese.learning.recipe import Recipe
from siamese.learning.states import Progress
from siamese.params.section import Section
from siamese.store import Manifest, ObjectStore, Origin

M = TypeVar("M", bound=Manifest)
B_co = TypeVar("B_co", covariant=True)
Beat = Callable[[], None]
"""To be called between pieces of long work that the first process does alone, so that the others keep waiting."""


class Source(Protocol[B_co]):
    """Makes batches; threads may share it."""

    steps_an_epoch: int

    def batch(self, step: int, /) -> B_co:
        """This process's part of the batch of a step; a pure function of seed and step."""


class Judgement(NamedTuple):
    """How good a network is.

    Attributes:
        score: More is better; what ``keep: best`` goes by.
        figures: What is tracked and kept in the curves.
    """

    score: float
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Published(Generic[M]):
    """What a run ended in.

    Attributes:
        manifest: As readers will see it.
        figures: Final figures for tracking.
        files: By name, for tracking.
    """

    manifest: M
    figures: Mapping[str, float] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)


class Task(ABC, Generic[N, B, O, M]):
    """One run of a kind of learning. Making one reads and writes nothing.

    Attributes:
        verb: What the run does, e.g. ``train``.
        examples: What its batches are made of, e.g. ``crops``.
        shown: Names of the figures that the progress bar shows.
        kind: Which manifest it publishes.
        recipe: What the engine needs to know.
        store: Where its inputs and outputs lie.
        partial_steps: Whether some steps leave some parameters without a gradient.
    """

    verb: ClassVar[str]
    examples: ClassVar[str]
    shown: ClassVar[tuple[str, ...]] = ()
    kind: type[M]
    recipe: Recipe
    store: ObjectStore
    partial_steps: bool = False

    @property
    @abstractmethod
    def origin(self) -> Origin:
        """What the run is published under."""

    @property
    @abstractmethod
    def sections(self) -> Mapping[str, Section]:
        """Params that are tracked, by section."""

    @property
    @abstractmethod
    def lineage(self) -> Mapping[str, str]:
        """Digests of what the run is made from, near and far, by name."""

    @abstractmethod
    def check_processes(self, count: int) -> None:
        """Refuses a number of processes that cannot share the work.

        Raises:
            SiameseError: They cannot.
        """

    @abstractmethod
    def build(self, *, fresh: bool) -> tuple[N, str]:
        """Builds the network.

        Args:
            fresh: With its first weights; otherwise they are replaced afterwards, so any will do.

        Returns:
            The network on the CPU, and where its first weights came from.
        """

    @abstractmethod
    def objective(self, start: str) -> Objective[N, B, O]:
        """What is learned.

        Args:
            start: Where the first weights came from.
        """

    @abstractmethod
    def source(self, network: N, rank: int, world: int) -> Source[B]:
        """The batches of one of ``world`` processes."""

    def judges_at(self, share: float) -> bool:
        """Whether weights of this point of the run could be published."""
        del share
        return True

    def judge(self, network: N, beat: Beat) -> Judgement | None:
        """Validates a network; None when there is nothing to validate on."""
        del network, beat
        return None

    def picture(self, network: N) -> bytes | None:
        """What a network makes of some examples, as a PNG, if that can be shown."""
        del network
        return None

    @abstractmethod
    def publish(self, network: N, progress: Progress, curves: bytes, beat: Beat) -> Published[M]:
        """Publishes a trained network; if another run was first, returns what that one published."""
