"""The promotion gate: decides from two sets of scores and the params whether a candidate becomes champion."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from siamese.classes import DAMAGE_CLASSES
from siamese.manifests import Scores
from siamese.params import PromotionParams

ROUNDING = 1e-9
"""Differences below this come from binary fractions, not from the networks."""


@dataclass(frozen=True)
class Verdict:
    """The gate's decision and every reason for it."""

    promoted: bool
    reasons: tuple[str, ...]


def judge(
    candidate: Scores, champion: Scores | None, params: PromotionParams, *, absent: Collection[str] = ()
) -> Verdict:
    """Decides between a candidate and the champion, both scored on the same split in the same run.

    Args:
        candidate: Scores of the candidate.
        champion: Scores of the champion; None when there is none yet, so that only the floors decide.
        params: Minimum gain and floors.
        absent: Damage classes without a pixel in the split; they are not judged.

    Returns:
        The verdict; its reasons name every figure that was compared, including those that passed.
    """
    checks = [*_finds(candidate), *_gain(candidate, champion, params), *_floors(candidate, params, absent)]
    return Verdict(all(passed for passed, _ in checks), tuple(reason for _, reason in checks))


def _finds(candidate: Scores) -> Iterator[tuple[bool, str]]:
    if candidate.localization_f1 == 0:
        yield False, "localization F1 0.0000: finds no building of the split"


def _gain(candidate: Scores, champion: Scores | None, params: PromotionParams) -> Iterator[tuple[bool, str]]:
    if champion is None:
        yield True, f"score {candidate.score:.4f}: there is no champion yet, the floors decide"
        return
    gain = candidate.score - champion.score
    passed = gain >= params.minimum_gain - ROUNDING
    figures = f"score {candidate.score:.4f} against the champion's {champion.score:.4f}: gain {gain:+.4f}"
    yield passed, f"{figures}, {'at least' if passed else 'not'} the {params.minimum_gain:+.4f} asked for"


def _floors(candidate: Scores, params: PromotionParams, absent: Collection[str]) -> Iterator[tuple[bool, str]]:
    yield from _floor("localization", candidate.localization_f1, params.minimum_localization_f1)
    for name in DAMAGE_CLASSES:
        floor = float(getattr(params, f"minimum_f1_{name}"))
        if name in absent and floor > 0:
            yield True, f"{name} F1 not judged: no support in the split"
        else:
            yield from _floor(name, getattr(candidate, f"damage_f1_{name}"), floor)


def _floor(name: str, value: float, floor: float) -> Iterator[tuple[bool, str]]:
    passed = value >= floor - ROUNDING
    if floor > 0:
        yield passed, f"{name} F1 {value:.4f}, {'at least' if passed else 'below'} its floor {floor:.4f}"
