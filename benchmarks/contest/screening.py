"""Tests many changes with few runs: each run applies about half of them, and least squares estimates each one's effect.

After Plackett & Burman 1946, "The Design of Optimum Multifactorial Experiments". Every run contributes to every
estimate, so an effect's error is that of comparing half of the runs with the other half. Effects that only occur
together (interactions) are spread over the others as noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from contest.contestants import Contestant, ablation_table
from contest.results import Result
from contest.summary import Figures
from siamese.errors import SiameseError

_TRIED = 400
_MEASURES = {
    "score": "score",
    "localization_f1": "localization F1",
    "damage_f1_present": "mean damage F1 of the classes present",
    "damage_auc": "damage AUC",
}


class Effect(BaseModel):
    """The effect of one change.

    Attributes:
        change: Its name.
        gain: By measure, how much higher it was with the change than without.
        error: By measure, the standard error of the gain.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    change: str
    gain: dict[str, float]
    error: dict[str, float]


def screen(names: Sequence[str], runs: int, folds: int) -> tuple[Contestant, ...]:
    """Plans the runs of a screen; run ``n`` belongs to fold ``n % folds``.

    Args:
        names: Changes, from contest/ablations.yaml.
        runs: Number of runs.
        folds: Number of folds over which they are distributed.

    Raises:
        SiameseError: A change does not exist, two of them set the same param, or the runs are too few to separate them.
    """
    table = ablation_table()
    overrides = {name: table[name] for name in names if name in table}
    _check(names, overrides, runs, folds)
    made = design(len(names), runs, folds)
    contestants = []
    for row in made:
        changed = [name for name, on in zip(names, row, strict=True) if on]
        title = ", ".join(changed) or "nothing changed"
        name = "screen-" + format(int("".join("1" if on else "0" for on in row), 2), "x")
        contestants.append(Contestant(name, "ours", title, tuple(item for one in changed for item in overrides[one])))
    return tuple(contestants)


def design(changes: int, runs: int, folds: int) -> NDArray[np.bool_]:
    """Returns ``(runs, changes)``: the changes of each run. In each fold about half of the runs have any given change.

    Each column is, out of many random ones, the one least similar to those before it.
    """
    rng = np.random.default_rng((changes, runs, folds))
    fold = np.arange(runs) % folds
    made = np.zeros((runs, 0))
    for _ in range(changes):
        tried = [_column(fold, rng) for _ in range(_TRIED)]
        likeness = [np.abs(made.T @ column).max(initial=0.0) + 1e-3 * np.abs(made.T @ column).sum() for column in tried]
        made = np.column_stack([made, tried[int(np.argmin(likeness))]])
    return made > 0


def effects(names: Sequence[str], results: Sequence[Result], folds: int) -> tuple[Effect, ...]:
    """Estimates the effect of each change, by ordinary least squares with a level for each fold.

    Args:
        names: The changes.
        results: Results of the runs of :func:`screen`, in order.
        folds: As passed to :func:`screen`.
    """
    runs = len(results)
    fold = np.arange(runs) % folds
    matrix = np.column_stack([fold == number for number in range(folds)] + [design(len(names), runs, folds)])
    matrix = matrix.astype(np.float64)
    told = np.array([_measured(result) for result in results])
    known = np.isfinite(told).all(0)  # Without buildings of every class there is no damage AUC.
    measures, told = [name for name, there in zip(_MEASURES, known, strict=True) if there], told[:, known]
    solution = np.linalg.lstsq(matrix, told)[0]
    freedom = runs - np.linalg.matrix_rank(matrix)
    variance = ((told - matrix @ solution) ** 2).sum(0) / max(1, freedom)
    spread = np.sqrt(np.diag(np.linalg.pinv(matrix.T @ matrix))[:, None] * variance)
    return tuple(
        Effect(
            change=name,
            gain=dict(zip(measures, solution[folds + place].tolist(), strict=True)),
            error=dict(zip(measures, spread[folds + place].tolist(), strict=True)),
        )
        for place, name in enumerate(names)
    )


def _measured(result: Result) -> list[float]:
    figures = Figures.of(result.fold, result.scenes)
    auc = math.nan if figures.damage_auc is None else figures.damage_auc
    return [figures.scores.score, figures.scores.localization_f1, figures.damage_f1_present, auc]


def effects_markdown(found: Sequence[Effect], command: str) -> str:
    """Formats effects as rows for docs/experiments.md, the most useful first."""
    measures = list(found[0].gain)
    head = (
        f"`{command}`",
        "",
        f"| change | {' | '.join(_MEASURES[name] for name in measures)} |",
        f"|---|{'---|' * len(measures)}",
    )
    ordered = sorted(found, key=lambda one: -one.gain["score"])
    rows = (
        f"| {one.change} | " + " | ".join(f"{one.gain[name]:+.3f} ± {one.error[name]:.3f}" for name in measures) + " |"
        for one in ordered
    )
    return "\n".join([*head, *rows])


def _check(names: Sequence[str], overrides: Mapping[str, Sequence[str]], runs: int, folds: int) -> None:
    unknown = sorted(set(names) - set(overrides))
    if unknown:
        raise SiameseError(
            f"no such change: {', '.join(unknown)}", where="--screen", fix=f"there are {', '.join(ablation_table())}"
        )
    owner: dict[str, str] = {}
    for name in names:
        for key in {item.partition("=")[0] for item in overrides[name]}:
            if owner.setdefault(key, name) != name:
                raise SiameseError(f"{owner[key]} and {name} both set {key}", where="--screen", fix="leave one out")
    if runs <= len(names) + folds:
        what = f"{runs} runs cannot tell {len(names)} changes and {folds} folds apart"
        raise SiameseError(what, where="--runs", fix=f"give at least {len(names) + folds + 1}")


def _column(fold: NDArray[np.int_], rng: np.random.Generator) -> NDArray[np.float64]:
    column = np.empty(len(fold))
    for number in np.unique(fold):
        size = int((fold == number).sum())
        half = np.resize([1.0, -1.0], size) * (1 if rng.random() < 0.5 else -1)
        column[fold == number] = rng.permutation(half)
    return column
