"""The evaluation report: every figure behind a score."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from siamese.classes import DAMAGE_CLASSES
from siamese.evaluation.observation import Observation
from siamese.manifests import Scores
from siamese.metrics import BuildingCounts, Counts, Interval, Reliability, Tally, bootstrap, macro_f1
from siamese.metrics.buildings import Table
from siamese.params import EvaluationParams

LABELS: Final = ("background", *DAMAGE_CLASSES)


class Frozen(BaseModel):
    """A part of the report."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Figures(Frozen):
    """Quality figures of one class."""

    f1: float = Field(ge=0, le=1)
    precision: float = Field(ge=0, le=1)
    recall: float = Field(ge=0, le=1)
    tp: int = Field(ge=0)
    fp: int = Field(ge=0)
    fn: int = Field(ge=0)
    support: int = Field(ge=0, description="True number of buildings.")

    @classmethod
    def of(cls, tally: Tally) -> Self:
        """Returns the figures of a tally."""
        return cls(
            f1=tally.f1,
            precision=tally.precision,
            recall=tally.recall,
            support=tally.support,
            **tally.model_dump(),
        )


class PixelFigures(Frozen):
    """The official metric, in pixels."""

    scores: Scores
    localization: Figures
    damage: dict[str, Figures] = Field(description="By class, in order of severity.")
    present: tuple[str, ...] = Field(description="Damage classes that occur in the targets.")
    mean_f1_present: float = Field(ge=0, le=1, description="Mean damage F1 over the classes present.")

    @classmethod
    def of(cls, counts: Counts) -> Self:
        """Returns the figures of counts."""
        return cls(
            scores=counts.scores(),
            localization=Figures.of(counts.localization),
            damage={name: Figures.of(tally) for name, tally in counts.damage.items()},
            present=tuple(name for name, tally in counts.damage.items() if tally.support),
            mean_f1_present=macro_f1(counts.damage),
        )


class BuildingFigures(Frozen):
    """Figures per building: predicted components matched one to one with labelled ones."""

    detection: Figures
    damage: dict[str, Figures] = Field(description="End to end: missed, false and wrongly classed buildings all count.")
    macro_f1: float = Field(ge=0, le=1, description="Mean of ``damage`` over the classes present.")
    matched: dict[str, Figures] = Field(description="Among matched buildings alone.")
    matched_macro_f1: float = Field(ge=0, le=1)
    confusion: Table = Field(description="Rows: false finds, then labelled classes. Columns: missed, then predicted.")
    unclassified: int = Field(ge=0, description="Labelled buildings without a class, in detection only.")

    @classmethod
    def of(cls, counts: BuildingCounts, unclassified: int) -> Self:
        """Returns the figures of counts."""
        damage, matched = counts.damage, counts.matched_damage
        return cls(
            detection=Figures.of(counts.detection),
            damage={name: Figures.of(tally) for name, tally in damage.items()},
            macro_f1=macro_f1(damage),
            matched={name: Figures.of(tally) for name, tally in matched.items()},
            matched_macro_f1=macro_f1(matched),
            confusion=counts.confusion,
            unclassified=unclassified,
        )


class EventFigures(Frozen):
    """Figures of one disaster."""

    scenes: int = Field(gt=0)
    pixels: PixelFigures
    buildings: BuildingFigures


class ReliabilityPoint(Frozen):
    """One confidence interval of a reliability diagram."""

    confidence: float = Field(description="Mean, in 0..1.")
    accuracy: float = Field(description="Share that is right, in 0..1.")
    count: int = Field(description="Pixels.")


class Calibration(Frozen):
    """How well calibrated the probabilities are."""

    expected_calibration_error: float = Field(ge=0, le=1)
    bins: tuple[ReliabilityPoint, ...] = Field(description="Equal widths over 0..1, from low to high.")

    @classmethod
    def of(cls, reliability: Reliability) -> Self:
        """Returns the calibration figures of counts."""
        points = (
            ReliabilityPoint(confidence=one.confidence, accuracy=one.accuracy, count=one.count)
            for one in reliability.bins
        )
        return cls(expected_calibration_error=reliability.expected_calibration_error, bins=tuple(points))


class RiskPoint(Frozen):
    """The remaining buildings, and their share of errors, when less confident ones are set aside for review."""

    confidence: float = Field(ge=0, le=1, description="Predicted buildings with a lower confidence are set aside.")
    coverage: float = Field(ge=0, le=1, description="Share of the predicted buildings that remain.")
    risk: float = Field(ge=0, le=1, description="Share of the remaining ones that are wrong in place or class.")
    buildings: int = Field(ge=0, description="Number of buildings that remain.")


def risk_coverage(confidence: Reliability) -> tuple[RiskPoint, ...]:
    """Returns the risk-coverage curve (El-Yaniv & Wiener 2010) of predicted buildings, from all to the surest."""
    bins = confidence.bins
    whole = sum(one.count for one in bins)
    points = []
    for start in range(len(bins)):
        left = sum(one.count for one in bins[start:])
        if left:
            wrong = left - sum(one.right for one in bins[start:])
            points.append(
                RiskPoint(confidence=start / len(bins), coverage=left / whole, risk=wrong / left, buildings=left)
            )
    return tuple(points)


class Member(Frozen):
    """Scores and cost of one model of an ensemble, or of the whole ensemble."""

    models: tuple[str, ...] = Field(description="Digests of the Checkpoints.")
    scores: Scores
    gflop: float = Field(gt=0, description="10^9 operations for a pair of 1024 x 1024 pixels that shows buildings.")
    seconds: float = Field(gt=0, description="Mean time of the network for a pair, on the machine that scored it.")
    runner: str = Field(description="What ran it.")


class SceneRow(Frozen):
    """Figures of one scene."""

    scene: str
    event: str
    wrong_px: int = Field(ge=0, description="Pixels whose predicted class differs from the official damage target.")
    localization_f1: float
    mean_f1_present: float
    buildings: int = Field(description="Labelled.")
    missed: int
    false: int
    counts: Counts

    @classmethod
    def of(cls, scene: str, event: str, seen: Observation) -> Self:
        """Returns the row of a scene."""
        detection = seen.buildings.detection
        return cls(
            scene=scene,
            event=event,
            wrong_px=sum(map(sum, seen.pixels)) - sum(row[k] for k, row in enumerate(seen.pixels)),
            localization_f1=seen.counts.localization.f1,
            mean_f1_present=macro_f1(seen.counts.damage),
            buildings=detection.support,
            missed=detection.fn,
            false=detection.fp,
            counts=seen.counts,
        )


class Report(Scores):
    """The official figures, and the figures behind them."""

    format: Literal[1] = 1
    checkpoint: str = Field(description="Digest of the Checkpoint.")
    further: tuple[str, ...] = Field((), description="Digests of those whose probabilities are averaged with its.")
    members: tuple[Member, ...] = Field(
        (), description="For an ensemble scored on a folder: each model by itself, then the ensemble."
    )
    data: str = Field(description="Digest of the PairSet and its split, or the folder that was scored.")
    scenes: int = Field(gt=0)
    skipped: dict[str, str] = Field(description="Scenes that could not be judged, each with its reason.")
    iou: float = Field(description="Overlap from which two buildings match.")
    intervals: dict[str, Interval] = Field(description="95 % bootstrap interval over scenes of each official figure.")
    counts: Counts = Field(description="Pixels.")
    pixels: PixelFigures
    buildings: BuildingFigures
    events: dict[str, EventFigures]
    confusion_labels: tuple[str, ...] = LABELS
    confusion: Table = Field(description="Pixels. Rows: official damage target. Columns: prediction.")
    damage_calibration: Calibration = Field(description="Of the most probable class, over pixels of known damage.")
    building_calibration: Calibration = Field(
        description="Of the building probability, over all pixels but un-classified ones."
    )
    raw_damage_calibration: Calibration = Field(description="The same before the temperatures fitted on validation.")
    raw_building_calibration: Calibration = Field(description="The same before the temperature fitted on validation.")
    risk_coverage: tuple[RiskPoint, ...] = Field(description="Of predicted buildings, by confidence.")
    failures: tuple[SceneRow, ...] = Field(description="Scenes with the most wrong pixels, the worst first.")


Seen = tuple[str, str, Observation]
"""Scene, event, and counts."""


def build_report(
    seen: Sequence[Seen],
    *,
    checkpoints: Sequence[str],
    data: str,
    params: EvaluationParams,
    skipped: Mapping[str, str],
    members: Sequence[Member] = (),
) -> Report:
    """Builds the report of at least one scene.

    Args:
        seen: The scenes.
        checkpoints: Digests of the network, or of those that are averaged.
        data: The evaluated data.
        params: How it was evaluated.
        skipped: Scenes left out, with reasons.
        members: Results of each model of an ensemble.
    """
    whole = _total(observation for _, _, observation in seen)
    by_event: dict[str, list[Observation]] = defaultdict(list)
    for _, event, observation in seen:
        by_event[event].append(observation)
    counts = [observation.counts for _, _, observation in seen]
    rows = sorted((SceneRow.of(*one) for one in seen), key=lambda row: (-row.wrong_px, row.scene))
    return Report(
        **whole.counts.scores().model_dump(),
        checkpoint=checkpoints[0],
        further=tuple(checkpoints[1:]),
        members=tuple(members),
        data=data,
        scenes=len(seen),
        skipped=dict(skipped),
        iou=params.iou,
        intervals=bootstrap(counts, resamples=params.resamples, seed=params.seed),
        counts=whole.counts,
        pixels=PixelFigures.of(whole.counts),
        buildings=BuildingFigures.of(whole.buildings, whole.unclassified),
        events={event: _event(by_event[event]) for event in sorted(by_event)},
        confusion=whole.pixels,
        damage_calibration=Calibration.of(whole.damage_reliability),
        building_calibration=Calibration.of(whole.building_reliability),
        raw_damage_calibration=Calibration.of(whole.raw_damage_reliability),
        raw_building_calibration=Calibration.of(whole.raw_building_reliability),
        risk_coverage=risk_coverage(whole.confidence),
        failures=tuple(row for row in rows[: params.worst] if row.wrong_px),
    )


def _event(observations: Sequence[Observation]) -> EventFigures:
    whole = _total(observations)
    return EventFigures(
        scenes=len(observations),
        pixels=PixelFigures.of(whole.counts),
        buildings=BuildingFigures.of(whole.buildings, whole.unclassified),
    )


def _total(observations: Iterable[Observation]) -> Observation:
    return sum(observations, Observation())
