"""The interface between the engine and a kind of training: its inputs, objective, validation and publication."""

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
"""Must be called between pieces of long work that the first process does alone, so that the others keep waiting."""


class Source(Protocol[B_co]):
    """Makes batches; threads may share it."""

    steps_an_epoch: int

    def batch(self, step: int, /) -> B_co:
        """Returns this process's part of the batch of a step; a pure function of seed and step."""


class Judgement(NamedTuple):
    """The quality of a network.

    Attributes:
        score: Higher is better; used by ``keep: best``.
        figures: Figures that are tracked and stored in the curves.
    """

    score: float
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Published(Generic[M]):
    """The result of a run.

    Attributes:
        manifest: The manifest as readers will see it.
        figures: Final figures for tracking.
        files: Files by name, for tracking.
    """

    manifest: M
    figures: Mapping[str, float] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)


class Task(ABC, Generic[N, B, O, M]):
    """One run of a kind of training. Creating one reads and writes nothing.

    Attributes:
        verb: What the run does, e.g. ``train``.
        examples: What its batches consist of, e.g. ``crops``.
        shown: Names of the figures that the progress bar shows.
        kind: The kind of manifest that it publishes.
        recipe: What the engine needs to know.
        store: Where its inputs and outputs are stored.
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
        """The origin under which the run is published."""

    @property
    @abstractmethod
    def sections(self) -> Mapping[str, Section]:
        """Returns the params to track, by section."""

    @property
    @abstractmethod
    def lineage(self) -> Mapping[str, str]:
        """Returns the digests of everything the run is made from, directly and indirectly, by name."""

    @abstractmethod
    def check_processes(self, count: int) -> None:
        """Rejects a number of processes that cannot share the work.

        Raises:
            SiameseError: The work cannot be shared by that many.
        """

    @abstractmethod
    def build(self, *, fresh: bool) -> tuple[N, str]:
        """Builds the network.

        Args:
            fresh: Whether to load the initial weights; if not, they are replaced afterwards, so any will do.

        Returns:
            The network on the CPU, and where its initial weights came from.
        """

    @abstractmethod
    def objective(self, start: str) -> Objective[N, B, O]:
        """Returns the training objective.

        Args:
            start: Where the initial weights came from.
        """

    @abstractmethod
    def source(self, network: N, rank: int, world: int) -> Source[B]:
        """Returns the batches of one of ``world`` processes."""

    def judges_at(self, share: float) -> bool:
        """Returns whether weights from this point of the run could be published."""
        del share
        return True

    def judge(self, network: N, beat: Beat) -> Judgement | None:
        """Validates a network; returns None if there is nothing to validate on."""
        del network, beat
        return None

    def picture(self, network: N) -> bytes | None:
        """Returns the network's predictions for some examples as a PNG, if they can be shown."""
        del network
        return None

    @abstractmethod
    def publish(self, network: N, progress: Progress, curves: bytes, beat: Beat) -> Published[M]:
        """Publishes a trained network; if another run was first, returns what that run published."""
