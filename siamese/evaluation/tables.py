"""The report as CSV files that `dvc plots` shows."""

from __future__ import annotations

from collections.abc import Iterator

from siamese.classes import DAMAGE_CLASSES
from siamese.evaluation.report import Calibration, Report
from siamese.tables import csv_bytes

_LABELLED = ("(false find)", *DAMAGE_CLASSES)
_PREDICTED = ("(missed)", *DAMAGE_CLASSES)


def plot_tables(report: Report) -> dict[str, bytes]:
    """Returns CSV by name: ``classes``, ``events``, ``risk_coverage``, ``confusion``, ``reliability_damage`` etc.

    ``confusion`` has a row per building, labelled (``actual``) and ``predicted``, as DVC's confusion template needs.
    """
    return {
        "classes": csv_bytes(("class", "f1", "low", "high", "precision", "recall", "support"), _classes(report)),
        "events": csv_bytes(
            ("event", "scenes", "score", "localization_f1", "mean_f1_present", "building_macro_f1"), _events(report)
        ),
        "reliability_damage": _reliability(report.damage_calibration),
        "reliability_building": _reliability(report.building_calibration),
        "risk_coverage": csv_bytes(
            ("confidence", "coverage", "risk", "buildings"),
            ((one.confidence, one.coverage, one.risk, one.buildings) for one in report.risk_coverage),
        ),
        "confusion": csv_bytes(("actual", "predicted"), _buildings(report)),
    }


def _classes(report: Report) -> Iterator[tuple[object, ...]]:
    figures = {"localization": report.pixels.localization} | report.pixels.damage
    for name, one in figures.items():
        interval = report.intervals["localization_f1" if name == "localization" else f"damage_f1_{name}"]
        yield name, one.f1, interval.low, interval.high, one.precision, one.recall, one.support


def _events(report: Report) -> Iterator[tuple[object, ...]]:
    for event, one in report.events.items():
        scores = one.pixels.scores
        yield (
            event,
            one.scenes,
            scores.score,
            scores.localization_f1,
            one.pixels.mean_f1_present,
            one.buildings.macro_f1,
        )


def _reliability(calibration: Calibration) -> bytes:
    rows = ((one.confidence, one.accuracy, one.count) for one in calibration.bins if one.count)
    return csv_bytes(("confidence", "accuracy", "pixels"), rows)


def _buildings(report: Report) -> Iterator[tuple[str, str]]:
    for actual, row in zip(_LABELLED, report.buildings.confusion, strict=True):
        for predicted, count in zip(_PREDICTED, row, strict=True):
            yield from [(actual, predicted)] * count
