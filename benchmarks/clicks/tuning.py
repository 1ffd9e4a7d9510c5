"""Chooses settings of ``adapt`` and ``select`` without the event that they are scored on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from clicks.events import HeldOut
from clicks.scoring import Clicks, mean
from siamese.params import AdaptationParams

_CHOICES: Mapping[str, tuple[Any, ...]] = {
    "components": (16, 32, 64),
    "flatten": (0.0, 0.25, 0.5, 0.75),
    "order": (0.0, 0.3, 0.5, 0.7),
    "shift": (0.1, 0.25, 0.5, 1.0),
    "trust": (0.1, 0.25, 0.5),
    "rare": (3.0, 6.0, 9.0),
    "strengths": ((0.5, 1.0, 2.0), (1.0,), (2.0,), (0.25, 0.5, 1.0, 2.0, 4.0)),
    "unsure": (0.0, 0.5, 1.0),
    "severity": (0.1, 0.25, 0.5, 1.0),
    "place": (0.2, 0.5, 1.0),
}
_COUNTS = (10, 20, 50)


def tune(held: Mapping[str, HeldOut], defaults: AdaptationParams, tries: int, draws: int) -> dict[str, Any]:
    """Tries settings on every event, and reports for each event those that are best on the others.

    Args:
        held: The events.
        defaults: Settings to compare with; the first that is tried.
        tries: How many settings, drawn at random.
        draws: How often labels are drawn.

    Returns:
        For each event: macro F1, mean over 10, 20 and 50 selected and random labels, with the defaults and with what is
        best on the others, and those settings.
    """
    rng = np.random.default_rng(0)
    drawn = [
        {name: options[int(rng.integers(len(options)))] for name, options in _CHOICES.items()} for _ in range(tries)
    ]
    settings = [defaults, *(defaults.model_copy(update=one) for one in drawn)]
    scores = {event: [_score(one, params, draws) for params in settings] for event, one in held.items()}
    found = {}
    for event in held:
        others = np.mean([scores[other] for other in held if other != event], axis=0)
        best = int(others.argmax())
        found[event] = {
            "defaults": scores[event][0],
            "best_on_the_others": scores[event][best],
            "settings": drawn[best - 1] if best else {},
        }
    everywhere = np.mean(list(scores.values()), axis=0)
    best = int(everywhere.argmax())
    return {
        "events": found,
        "best_on_all": {"macro_f1": float(everywhere[best]), "settings": drawn[best - 1] if best else {}},
    }


def _score(event: HeldOut, params: AdaptationParams, draws: int) -> float:
    clicks = Clicks(event, params)
    counts = [count for count in _COUNTS if 2 * count <= len(event)]
    found = [
        clicks.adapted(clicks.chosen(choice, count, draw))
        for count in counts
        for choice in ("select", "random")
        for draw in range(draws)
    ]
    return mean(found).macro
