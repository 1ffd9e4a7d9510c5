"""Summarises results: figures per fold, over folds, and pooled over all scenes; as a table, Markdown and JSON."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field
from rich.table import Table

from contest.judging import SceneResult
from contest.ranking import damage_auc
from contest.results import Result, by_contestant
from siamese.classes import DAMAGE_CLASSES
from siamese.manifests import Scores
from siamese.metrics import BuildingCounts, Counts, Interval, bootstrap, macro_f1

_CLASS_FIGURES = tuple(f"damage_f1_{name}" for name in DAMAGE_CLASSES)


class Figures(BaseModel):
    """Figures over several scenes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fold: str
    scenes: int
    buildings: dict[str, int] = Field(description="Labelled, by class.")
    scores: Scores
    damage_f1_present: float = Field(description="Mean damage F1 over the classes that the scenes hold.")
    building_macro_f1: float = Field(description="The same by building, end to end.")
    damage_auc: float | None = Field(description="How well labelled buildings are ranked, contest/ranking.py.")

    @classmethod
    def of(cls, fold: str, scenes: Sequence[SceneResult]) -> Figures:
        """Sums up scenes."""
        counts = sum((scene.counts for scene in scenes), Counts())
        buildings = sum((scene.buildings for scene in scenes), BuildingCounts())
        return cls(
            fold=fold,
            scenes=len(scenes),
            buildings={name: tally.support for name, tally in buildings.damage.items()},
            scores=counts.scores(),
            damage_f1_present=macro_f1(counts.damage),
            building_macro_f1=macro_f1(buildings.damage),
            damage_auc=damage_auc(scene.severities for scene in scenes),
        )


class Standing(BaseModel):
    """The results of one contestant over all folds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    contestant: str
    folds: tuple[Figures, ...]
    mean: float = Field(description="Of the folds' official scores.")
    spread: float = Field(description="Their standard deviation; 0 of one fold.")
    pooled: Figures = Field(description="Of all scenes, each tested by a network that was not trained on it.")
    interval: Interval = Field(description="95 % bootstrap interval over scenes of the pooled score.")
    crops: int = Field(description="Learned from, mean over folds.")
    start: str

    @classmethod
    def of(cls, results: Sequence[Result], *, resamples: int, seed: int) -> Standing:
        """Sums up the folds of one contestant."""
        scenes = [scene for result in results for scene in result.scenes]
        folds = tuple(Figures.of(result.fold, result.scenes) for result in results)
        scores = [figures.scores.score for figures in folds]
        intervals = bootstrap([scene.counts for scene in scenes], resamples=resamples, seed=seed)
        return cls(
            contestant=results[0].contestant,
            folds=folds,
            mean=statistics.fmean(scores),
            spread=statistics.stdev(scores) if len(scores) > 1 else 0.0,
            pooled=Figures.of("all", scenes),
            interval=intervals["score"],
            crops=round(statistics.fmean(result.learned.crops for result in results)),
            start=results[0].learned.start,
        )


def standings(results: Iterable[Result], *, resamples: int, seed: int) -> tuple[Standing, ...]:
    """Returns one standing per contestant, in the order of their first results."""
    found = by_contestant(results).values()
    return tuple(Standing.of(folds, resamples=resamples, seed=seed) for folds in found)


def ratio_to_references(found: Sequence[Standing], references: Iterable[str]) -> float | None:
    """Returns the mean score of ours divided by that of the better reference; None if one of them is missing."""
    others = [one.mean for one in found if one.contestant in set(references)]
    ours = next((one.mean for one in found if one.contestant == "ours"), None)
    return ours / max(others) if ours is not None and others and max(others) > 0 else None


def table(found: Sequence[Standing], titles: Mapping[str, str], *, differences: bool) -> Table:
    """Formats the standings for a terminal: one row per fold, and one for all.

    Args:
        found: The standings.
        titles: Titles of the contestants.
        differences: Whether to also show each pooled score's difference from the first contestant's.
    """
    rates = ("localization", *DAMAGE_CLASSES, "by building", "damage AUC")
    columns = ("contestant", "fold", "scenes", "buildings", "score", *rates)
    shown = Table(*columns, *(["difference"] if differences else []), title="no / minor / major / destroyed by pixel")
    for one in found:
        for figures in one.folds if len(one.folds) > 1 else ():
            shown.add_row(titles[one.contestant], figures.fold, *_cells(figures, f"{figures.scores.score:.3f}"))
        score = f"{one.pooled.scores.score:.3f} [{one.interval.low:.3f}, {one.interval.high:.3f}]"
        gain = f"{one.pooled.scores.score - found[0].pooled.scores.score:+.3f}"
        fold = one.folds[0].fold if len(one.folds) == 1 else "all"
        shown.add_row(titles[one.contestant], fold, *_cells(one.pooled, score), *([gain] if differences else []))
        if len(one.folds) > 1:
            shown.add_row("", "mean ± sd", "", "", f"{one.mean:.3f} ± {one.spread:.3f}")
        shown.add_section()
    return shown


def _cells(figures: Figures, score: str) -> list[str]:
    scores = figures.scores
    rates = [scores.localization_f1, *(getattr(scores, name) for name in _CLASS_FIGURES), figures.building_macro_f1]
    support = " / ".join(str(count) for count in figures.buildings.values())
    return [str(figures.scenes), support, score, *(f"{rate:.3f}" for rate in rates), _auc(figures)]


def _auc(figures: Figures) -> str:
    return "" if figures.damage_auc is None else f"{figures.damage_auc:.3f}"


def markdown(found: Sequence[Standing], titles: Mapping[str, str], command: str) -> str:
    """Formats the standings as rows for docs/experiments.md, under their own header."""
    head = (
        f"`{command}`",
        "",
        "| network | crops | folds | scenes; buildings no / minor / major / destroyed | score, mean ± sd over folds "
        "| pooled [95 % over scenes] | localization F1 | no / minor / major / destroyed | by building | damage AUC |",
        "|---|---|---|---|---|---|---|---|---|---|",
    )
    return "\n".join([*head, *(_row(one, titles[one.contestant]) for one in found)])


def _row(one: Standing, title: str) -> str:
    pooled, scores = one.pooled, one.pooled.scores
    classes = " / ".join(f"{getattr(scores, name):.2f}".removeprefix("0") for name in _CLASS_FIGURES)
    cells = (
        title,
        str(one.crops),
        str(len(one.folds)),
        f"{pooled.scenes}; {' / '.join(str(count) for count in pooled.buildings.values())}",
        f"{one.mean:.3f} ± {one.spread:.3f}" if len(one.folds) > 1 else f"{one.mean:.3f}",
        f"{scores.score:.3f} [{one.interval.low:.2f}, {one.interval.high:.2f}]",
        f"{scores.localization_f1:.3f}",
        classes,
        f"{pooled.building_macro_f1:.3f}",
        _auc(pooled),
    )
    return f"| {' | '.join(cells)} |"
