"""Compares ways to turn one network's probabilities into classes, all on the same predictions."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contest.judging import Network, count_decided
from siamese.classes import DAMAGE_CLASSES
from siamese.errors import SiameseError
from siamese.evaluation.observation import damage_reliability
from siamese.evaluation.truth import SceneTask
from siamese.metrics import BuildingCounts, Counts, Reliability, macro_f1
from siamese.model.decision import Decision, calibrate, decide

_DECISIONS = Path(__file__).with_name("decisions.yaml")
_CLASS_FIGURES = tuple(f"damage_f1_{name}" for name in DAMAGE_CLASSES)

Changes = Mapping[str, Mapping[str, Any]]


class Judgement(NamedTuple):
    """Counts over scenes of one network under one decision."""

    counts: Counts
    buildings: BuildingCounts
    reliability: Reliability
    """Of damage, on the pixels of labelled buildings."""

    def plus(self, other: Judgement) -> Judgement:
        """Adds the counts of both."""
        buildings, reliability = self.buildings + other.buildings, self.reliability + other.reliability
        return Judgement(self.counts + other.counts, buildings, reliability)


Judged = dict[str, Judgement]
"""Judgements by name of the way to decide."""


class Way(BaseModel):
    """The results of one way to decide over some networks; scores and F1 are means over them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    networks: int
    score: float = Field(description="Official score.")
    spread: float = Field(description="Standard deviation of the score over networks; 0 of one.")
    least: float = Field(description="Score of the worst network.")
    gain: float = Field(description="Score above that of the first way.")
    gain_error: float = Field(description="Standard error of the gain, of the networks' own gains; 0 of one.")
    localization_f1: float
    damage_f1: tuple[float, ...] = Field(description="By class, by pixel.")
    buildings_f1: float = Field(description="Of buildings found, whatever their class.")
    building_macro_f1: float = Field(description="Mean over the classes present, by building, end to end.")
    calibration_error: float = Field(description="Expected calibration error of damage on labelled buildings.")


def decisions_table() -> dict[str, dict[str, Any]]:
    """Returns the changed fields of :class:`siamese.model.Decision` by name of the way to decide.

    Raises:
        SiameseError: A field does not exist, or cannot have that value.
    """
    table: dict[str, dict[str, Any]] = yaml.safe_load(_DECISIONS.read_text())
    for name, fields in table.items():
        changed(Decision(), fields, name)
    return table


def changed(decision: Decision, fields: Mapping[str, Any], name: str) -> Decision:
    """Returns a decision with some fields replaced."""
    try:
        return Decision.model_validate(decision.model_dump() | dict(fields))
    except ValidationError as error:
        first = error.errors()[0]
        what = f"{name}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise SiameseError(what, where=str(_DECISIONS), fix="use fields of siamese.model.Decision") from error


def judge_ways(tasks: Iterable[SceneTask], network: Network, decision: Decision, ways: Changes, iou: float) -> Judged:
    """Runs a network on each scene once, and decides in every way.

    Args:
        tasks: The scenes.
        network: The network.
        decision: The decision that the ways modify.
        ways: Modifications of it.
        iou: Overlap from which a predicted building is a match.
    """
    decisions = {name: changed(decision, fields, name) for name, fields in ways.items()}
    judged: Judged = {name: Judgement(Counts(), BuildingCounts(), Reliability()) for name in decisions}
    for task in tasks:
        truth = task.load()
        prediction = network.predict(truth.pre, truth.post, truth.disaster_type)
        for name, way in decisions.items():
            counted = count_decided(truth, decide(prediction, way), iou)
            reliability = damage_reliability(truth, calibrate(prediction, way))
            judged[name] = judged[name].plus(Judgement(*counted, reliability))
    return judged


def compare(networks: Sequence[Judged]) -> tuple[Way, ...]:
    """Compares the ways over networks, in the order of the first network's."""
    first = next(iter(networks[0]))
    base = [judged[first].counts.scores().score for judged in networks]
    return tuple(_way(name, [judged[name] for judged in networks], base) for name in networks[0])


def _way(name: str, judged: Sequence[Judgement], base: Sequence[float]) -> Way:
    scores = [one.counts.scores() for one in judged]
    official = [one.score for one in scores]
    gains = [mine - theirs for mine, theirs in zip(official, base, strict=True)]
    several = len(judged) > 1
    return Way(
        name=name,
        networks=len(judged),
        score=statistics.fmean(official),
        spread=statistics.stdev(official) if several else 0.0,
        least=min(official),
        gain=statistics.fmean(gains),
        gain_error=statistics.stdev(gains) / len(gains) ** 0.5 if several else 0.0,
        localization_f1=statistics.fmean(one.localization_f1 for one in scores),
        damage_f1=tuple(statistics.fmean(getattr(one, figure) for one in scores) for figure in _CLASS_FIGURES),
        buildings_f1=statistics.fmean(one.buildings.detection.f1 for one in judged),
        building_macro_f1=statistics.fmean(macro_f1(one.buildings.damage) for one in judged),
        calibration_error=statistics.fmean(one.reliability.expected_calibration_error for one in judged),
    )


def ways_markdown(ways: Sequence[Way], command: str) -> str:
    """Returns rows for docs/experiments.md."""
    columns = (
        "way to decide",
        "score, mean ± sd over networks (least)",
        "gain ± its error",
        "localization F1",
        "no / minor / major / destroyed",
        "F1 of buildings found",
        "macro F1 by building",
        "calibration error of damage",
    )
    return "\n".join([f"`{command}`", "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|", *map(_row, ways)])


def _row(way: Way) -> str:
    cells = (
        way.name,
        f"{way.score:.3f} ± {way.spread:.3f} ({way.least:.3f})",
        f"{way.gain:+.3f} ± {way.gain_error:.3f}",
        f"{way.localization_f1:.3f}",
        " / ".join(f"{one:.2f}".removeprefix("0") for one in way.damage_f1),
        f"{way.buildings_f1:.3f}",
        f"{way.building_macro_f1:.3f}",
        f"{way.calibration_error:.3f}",
    )
    return f"| {' | '.join(cells)} |"
