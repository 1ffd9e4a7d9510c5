"""How often the intervals of `siamese assess` hold the truth, by class, on made-up maps whose truth is known.

Of each map stratified samples are drawn and labelled without error; for each class it counts how often the 95 %
intervals of its number of buildings and of its F1 hold the truth, and how wide they are. MAPS are those that the law
behind the intervals was chosen on, beside others made up from another seed; --made more are drawn at random, of sizes,
class shares and confusions that nothing was chosen on. Prints a table and one JSON line.

    python benchmarks/intervals.py --samples 1000
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from budget import Budget, add_minutes

from siamese.adaptation.estimate import Sampled, allocate, estimate
from siamese.classes import DAMAGE_CLASSES
from siamese.manifests import ClassAssessment

Counts = npt.NDArray[np.int64]

MAPS: Final = {
    "hurricane": [[640, 80, 15, 5, 10], [60, 90, 15, 3, 2], [30, 20, 30, 8, 2], [5, 2, 8, 25, 3]],
    "large": [[48_000, 300, 50, 20, 400], [200, 400, 50, 10, 30], [20, 60, 120, 20, 5], [5, 5, 20, 60, 10]],
    "small": [[30, 4, 1, 0, 1], [3, 8, 1, 0, 0], [0, 1, 4, 1, 0], [0, 0, 1, 5, 0]],
    "spared": [[5000, 20, 3, 0, 50], [60, 30, 0, 0, 5], [10, 3, 0, 0, 0], [3, 0, 0, 0, 0]],
    "fire": [[800, 2, 1, 15, 5], [5, 0, 0, 3, 0], [2, 0, 1, 8, 0], [3, 0, 2, 160, 4]],
}
"""True maps: rows mapped class, columns true class, the last no building. Some have a rare class, some none of it."""
_MADE_SEED: Final = 22
_LEAST: Final = 5
_ASKED: Final = (0.93, 0.97)


@dataclass(frozen=True)
class Row:
    """The intervals of one class of one map, over all samples; shares are in 0..1, widths in the figure's unit."""

    name: str
    damage: str
    size: int
    true: int
    covered: float
    all_above: float
    all_below: float
    width: float
    f1_covered: float
    f1_width: float


def whole(rows: Sequence[Sequence[int]]) -> Counts:
    """Returns a map as ``(5, 5)``: no building of it is unknown."""
    return np.array([*rows, [0] * 5], np.int64)


def made_map(rng: np.random.Generator) -> Counts:
    """Makes up a map ``(5, 5)``: 200 to 50,000 buildings, mostly undamaged ones, 40 to 90 % of each class found."""
    count, right = 10 ** rng.uniform(2.3, 4.7), rng.uniform(0.4, 0.9)
    shares, ghosts = rng.dirichlet([3, 0.6, 0.4, 0.5]), rng.uniform(0, 0.06)
    truth: Counts = np.zeros((5, 5), np.int64)
    for true in range(4):
        near = np.exp(-np.abs(np.arange(4) - true) * rng.uniform(0.5, 2))
        near[true] = 0
        mixed = near / near.sum() * (1 - right)
        mixed[true] = right
        truth[:4, true] = rng.multinomial(round(count * shares[true]), mixed)
    truth[:4, 4] = rng.multinomial(int(count * ghosts), rng.dirichlet([3, 1, 1, 1]))
    return truth


def draw(truth: Counts, size: int, rng: np.random.Generator) -> Sampled:
    """Draws a stratified sample of a map whose truth is known."""
    population = truth.sum(axis=1)
    sizes = allocate(population.tolist(), size, _LEAST)
    labels = np.stack([rng.multivariate_hypergeometric(row, count) for row, count in zip(truth, sizes, strict=True)])
    return Sampled(population, labels, np.zeros(4, np.int64))


def cover(name: str, truth: Counts, size: int, samples: int, draws: int, seed: int = 0) -> list[Row]:
    """Returns how often intervals hold the truth of each class, and of all damaged ones as one.

    Args:
        name: Of the map.
        truth: ``(5, 5)`` buildings.
        size: Labels of a sample.
        samples: How many are drawn.
        draws: Behind each interval.
        seed: Of the samples.
    """
    rng = np.random.default_rng((seed, size))
    found = [estimate(draw(truth, size, rng), seed=repeat, draws=draws) for repeat in range(samples)]
    rows = [
        _row(name, damage, size, truth, (number,), [one.classes[damage] for one in found])
        for number, damage in enumerate(DAMAGE_CLASSES)
    ]
    return [*rows, _row(name, "damaged", size, truth, (1, 2, 3), [one.damaged for one in found])]


def _row(
    name: str, damage: str, size: int, truth: Counts, members: tuple[int, ...], told: Sequence[ClassAssessment]
) -> Row:
    there, mapped = int(truth[:, members].sum()), int(truth[list(members)].sum())
    f1 = 2 * truth[np.ix_(members, members)].sum() / max(1, there + mapped)
    low, high = (np.array([getattr(one.buildings, end) for one in told]) for end in ("low", "high"))
    f1_low, f1_high = (np.array([getattr(one.f1, end) for one in told]) for end in ("low", "high"))
    return Row(
        name=name,
        damage=damage,
        size=size,
        true=there,
        covered=float(((low <= there) & (there <= high)).mean()),
        all_above=float((there < low).mean()),
        all_below=float((high < there).mean()),
        width=float((high - low).mean()),
        f1_covered=float(((f1_low - 1e-9 <= f1) & (f1 <= f1_high + 1e-9)).mean()),
        f1_width=float((f1_high - f1_low).mean()),
    )


def main() -> None:
    """Prints a table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[30, 100], help="labels of a sample")
    parser.add_argument("--samples", type=int, default=1000, help="samples of each map and size")
    parser.add_argument("--draws", type=int, default=600, help="draws behind each interval")
    parser.add_argument("--made", type=int, default=16, help="maps that are made up at random")
    add_minutes(parser)
    options = parser.parse_args()
    budget = Budget("intervals", options.minutes)
    rng = np.random.default_rng(_MADE_SEED)
    groups = {
        "named": {name: whole(rows) for name, rows in MAPS.items()},
        "made": {f"made {number + 1}": made_map(rng) for number in range(options.made)},
    }
    record: dict[str, Any] = {"samples": options.samples}
    for group, maps in groups.items():
        for size in options.sizes:
            rows: list[Row] = []
            for name, truth in maps.items():
                work = partial(cover, name, truth, size, options.samples, options.draws)
                rows += budget.attempt(f"{name}, {size} labels", work) or []
            for row in rows:
                print(_told(row))
            if rows:
                record[f"{group}_{size}"] = _summary([row for row in rows if row.true])
    print(budget.record(record))


def _told(row: Row) -> str:
    return (
        f"{row.name:10} {row.damage:13} {row.size:4} labels {row.true:6} true: covered {row.covered:.3f} "
        f"(too high {row.all_above:.3f}, too low {row.all_below:.3f}), width {row.width:8.0f}; "
        f"F1 covered {row.f1_covered:.3f}, width {row.f1_width:.2f}"
    )


def _summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Returns figures over the classes that a map has; widths as geometric means, as maps differ in size."""
    least, most = _ASKED
    covered, f1 = (np.array([getattr(row, name) for row in rows]) for name in ("covered", "f1_covered"))
    worst = rows[int(covered.argmin())]
    return {
        "classes": len(rows),
        "covered": float(covered.mean()),
        "worst": float(covered.min()),
        "worst_of": f"{worst.name} {worst.damage}",
        "below_93": int((covered < least).sum()),
        "above_97": int((covered > most).sum()),
        "f1_covered": float(f1.mean()),
        "f1_worst": float(f1.min()),
        "f1_below_93": int((f1 < least).sum()),
        "width": float(np.exp(np.log(np.maximum([row.width for row in rows], 1)).mean())),
        "f1_width": float(np.exp(np.log(np.maximum([row.f1_width for row in rows], 1e-3)).mean())),
    }


if __name__ == "__main__":
    main()
