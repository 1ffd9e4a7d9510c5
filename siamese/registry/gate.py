"""The gate: may a candidate become champion? A pure function of two sets of scores and the params."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from siamese.classes import DAMAGE_CLASSES
from siamese.manifests import Scores
from siamese.params import PromotionParams

ROUNDING = 1e-9
"""Differences below this come from binary fractions, not from the networks."""


@dataclass(frozen=True)
class Verdict:
    """What the gate says, and every reason for it."""

    promoted: bool
    reasons: tuple[str, ...]


def judge(candidate: Scores, champion: Scores | None, params: PromotionParams) -> Verdict:
    """Decides between a candidate and the champion, both scored on the same split in the same run.

    Args:
        candidate: Scores of the candidate.
        champion: Scores of the champion; None when there is none yet, then the floors alone decide.
        params: Least gain and floors.

    Returns:
        The verdict; its reasons tell every figure that was compared, also those that passed.
    """
    checks = [*_gain(candidate, champion, params), *_floors(candidate, params)]
    return Verdict(all(passed for passed, _ in checks), tuple(reason for _, reason in checks))


def _gain(candidate: Scores, champion: Scores | None, params: PromotionParams) -> Iterator[tuple[bool, str]]:
    if champion is None:
        yield True, f"score {candidate.score:.4f}: there is no champion yet, the floors decide"
        return
    gain = candidate.score - champion.score
    passed = gain >= params.minimum_gain - ROUNDING
    figures = f"score {candidate.score:.4f} against the champion's {champion.score:.4f}: gain {gain:+.4f}"
    yield passed, f"{figures}, {'at least' if passed else 'not'} the {params.minimum_gain:+.4f} asked for"


def _floors(candidate: Scores, params: PromotionParams) -> Iterator[tuple[bool, str]]:
    floors = {"localization F1": (candidate.localization_f1, params.minimum_localization_f1)} | {
        f"{name} F1": (getattr(candidate, f"damage_f1_{name}"), getattr(params, f"minimum_f1_{name}"))
        for name in DAMAGE_CLASSES
    }
    for name, (value, floor) in floors.items():
        passed = value >= floor - ROUNDING
        if floor > 0:
            yield passed, f"{name} {value:.4f}, {'at least' if passed else 'below'} its floor {floor:.4f}"
