"""Ways to turn one network's probabilities into classes, each judged on the same predictions."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contest.judging import Network, count_decided
from siamese.classes import DAMAGE_CLASSES
from siamese.errors import SiameseError
from siamese.evaluation.truth import SceneTask
from siamese.metrics import BuildingCounts, Counts, macro_f1
from siamese.model.decision import Decision, decide

_DECISIONS = Path(__file__).with_name("decisions.yaml")
_CLASS_FIGURES = tuple(f"damage_f1_{name}" for name in DAMAGE_CLASSES)

Changes = Mapping[str, Mapping[str, Any]]
Judged = dict[str, tuple[Counts, BuildingCounts]]
"""By name of the way to decide: counts over all scenes of one network."""


class Way(BaseModel):
    """What one way to decide comes to over some networks; scores and F1 are means over them."""

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


def decisions_table() -> dict[str, dict[str, Any]]:
    """Changed fields of :class:`siamese.model.Decision` by name of the way to decide.

    Raises:
        SiameseError: There is no such field, or it cannot have that value.
    """
    table: dict[str, dict[str, Any]] = yaml.safe_load(_DECISIONS.read_text())
    for name, fields in table.items():
        changed(Decision(), fields, name)
    return table


def changed(decision: Decision, fields: Mapping[str, Any], name: str) -> Decision:
    """A decision with some fields set."""
    try:
        return Decision.model_validate(decision.model_dump() | dict(fields))
    except ValidationError as error:
        first = error.errors()[0]
        what = f"{name}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise SiameseError(what, where=str(_DECISIONS), fix="use fields of siamese.model.Decision") from error


def judge_ways(tasks: Iterable[SceneTask], network: Network, decision: Decision, ways: Changes, iou: float) -> Judged:
    """Asks a network about each scene once, and decides in every way.

    Args:
        tasks: The scenes.
        network: The network.
        decision: What ways are changes of.
        ways: Changes of it.
        iou: Overlap from which a predicted building is a match.
    """
    decisions = {name: changed(decision, fields, name) for name, fields in ways.items()}
    judged: Judged = {name: (Counts(), BuildingCounts()) for name in decisions}
    for task in tasks:
        truth = task.load()
        prediction = network.predict(truth.pre, truth.post, truth.disaster_type)
        for name, way in decisions.items():
            counts, buildings = count_decided(truth, decide(prediction, way), iou)
            judged[name] = (judged[name][0] + counts, judged[name][1] + buildings)
    return judged


def compare(networks: Sequence[Judged]) -> tuple[Way, ...]:
    """What each way comes to over networks, in the order of the first."""
    first = next(iter(networks[0]))
    base = [judged[first][0].scores().score for judged in networks]
    return tuple(_way(name, [judged[name] for judged in networks], base) for name in networks[0])


def _way(name: str, counted: Sequence[tuple[Counts, BuildingCounts]], base: Sequence[float]) -> Way:
    scores = [counts.scores() for counts, _ in counted]
    official = [one.score for one in scores]
    gains = [mine - theirs for mine, theirs in zip(official, base, strict=True)]
    several = len(counted) > 1
    return Way(
        name=name,
        networks=len(counted),
        score=statistics.fmean(official),
        spread=statistics.stdev(official) if several else 0.0,
        least=min(official),
        gain=statistics.fmean(gains),
        gain_error=statistics.stdev(gains) / len(gains) ** 0.5 if several else 0.0,
        localization_f1=statistics.fmean(one.localization_f1 for one in scores),
        damage_f1=tuple(statistics.fmean(getattr(one, figure) for one in scores) for figure in _CLASS_FIGURES),
        buildings_f1=statistics.fmean(buildings.detection.f1 for _, buildings in counted),
        building_macro_f1=statistics.fmean(macro_f1(buildings.damage) for _, buildings in counted),
    )


def ways_markdown(ways: Sequence[Way], command: str) -> str:
    """Rows for docs/results.md."""
    columns = (
        "way to decide",
        "score, mean ± sd over networks (least)",
        "gain ± its error",
        "localization F1",
        "no / minor / major / destroyed",
        "F1 of buildings found",
        "macro F1 by building",
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
    )
    return f"| {' | '.join(cells)} |"
