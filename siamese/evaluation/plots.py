"""Plots of the evaluation report."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from siamese.classes import COLOURS, DAMAGE_CLASSES
from siamese.evaluation.report import LABELS, Calibration, Report
from siamese.metrics.buildings import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GREY = "#546e7a"


def draw_plots(report: Report) -> dict[str, bytes]:
    """Returns PNG images by name: ``classes``, ``confusion``, ``reliability``, ``events``."""
    return {
        "classes": _png(_classes(report)),
        "confusion": _png(_confusion(report)),
        "reliability": _png(_reliability(report)),
        "events": _png(_events(report)),
    }


def _figure(width: float, height: float, columns: int = 1) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure((width, height), dpi=120, layout="constrained")
    return figure, list(np.atleast_1d(figure.subplots(1, columns)))


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": ""})
    return out.getvalue()


def _classes(report: Report) -> Figure:
    figure, (axes,) = _figure(7, 3.6)
    names = ("score", "localization_f1", *(f"damage_f1_{name}" for name in DAMAGE_CLASSES))
    values = np.array([getattr(report, name) for name in names])
    bounds = np.array([(report.intervals[name].low, report.intervals[name].high) for name in names]).T
    reach = np.clip([values - bounds[0], bounds[1] - values], 0, None)
    axes.bar(range(len(names)), values, color=["#263238", _GREY, *map(_colour, DAMAGE_CLASSES)])
    axes.errorbar(range(len(names)), values, yerr=reach, fmt="none", ecolor="black", capsize=4)
    axes.set_xticks(range(len(names)), ["score", "localization", *(name.replace("_", "\n") for name in DAMAGE_CLASSES)])
    axes.set(ylim=(0, 1), ylabel="F1", title=f"xView2 score and F1 by class, 95 % over {report.scenes} scenes")
    return figure


def _confusion(report: Report) -> Figure:
    figure, (left, right) = _figure(11, 4.8, columns=2)
    classes = [_title(name) for name in LABELS]
    _matrix(left, report.confusion, classes, classes, "pixels")
    found = classes[1:]
    _matrix(right, report.buildings.confusion, ["false find", *found], ["missed", *found], "buildings")
    return figure


def _matrix(axes: Axes, table: Table, rows: list[str], columns: list[str], what: str) -> None:
    counts = np.asarray(table)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    axes.set_xticks(range(len(columns)), columns, rotation=30, ha="right")
    axes.set_yticks(range(len(rows)), rows)
    axes.set(xlabel="predicted", ylabel="labelled", title=f"{what}: share of each labelled class")
    for (row, column), share in np.ndenumerate(shares):
        text = f"{share:.2f}\n{counts[row, column]:,}"
        axes.text(column, row, text, ha="center", va="center", fontsize=7, color="white" if share > 0.5 else "black")


def _reliability(report: Report) -> Figure:
    figure, (left, middle, right) = _figure(13, 4.4, columns=3)
    _diagram(left, report.damage_calibration, report.raw_damage_calibration, "damage class")
    _diagram(middle, report.building_calibration, report.raw_building_calibration, "building")
    coverage, risk = ([getattr(point, name) for point in report.risk_coverage] for name in ("coverage", "risk"))
    right.plot(coverage, risk, marker="o", color=_GREY)
    right.set(
        xlim=(0, 1), ylim=(0, 1), xlabel="share of buildings left, the surest first", ylabel="share of them wrong"
    )
    right.set_title("buildings: risk and coverage")
    return figure


def _diagram(axes: Axes, calibration: Calibration, raw: Calibration, what: str) -> None:
    axes.plot([0, 1], [0, 1], color="#b0bec5", linestyle="--")
    for one, colour, label in ((raw, "#b0bec5", "before"), (calibration, _GREY, "calibrated")):
        points = [point for point in one.bins if point.count]
        confidence, accuracy = ([getattr(point, name) for point in points] for name in ("confidence", "accuracy"))
        axes.plot(confidence, accuracy, marker="o", color=colour, label=label)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability given", ylabel="share that is right")
    axes.legend()
    errors = (calibration.expected_calibration_error, raw.expected_calibration_error)
    axes.set_title(f"{what}: calibration error {errors[0]:.3f} ({errors[1]:.3f} before)")


def _events(report: Report) -> Figure:
    names = list(report.events)
    figure, (axes,) = _figure(8, 1.6 + 0.5 * len(names))
    places = np.arange(len(names))
    figures = {
        "localization F1": [report.events[name].pixels.localization.f1 for name in names],
        "mean damage F1, classes present": [report.events[name].pixels.mean_f1_present for name in names],
        "score": [report.events[name].pixels.scores.score for name in names],
    }
    colours = ("#90a4ae", _colour("major_damage"), "#263238")
    for shift, (label, values) in enumerate(figures.items()):
        axes.barh(places + 0.25 * (shift - 1), values, height=0.25, label=label, color=colours[shift])
    support = [report.events[name] for name in names]
    axes.set_yticks(
        places,
        [
            f"{name}\nscenes: {one.scenes}, buildings: {one.buildings.detection.support:,}"
            for name, one in zip(names, support, strict=True)
        ],
        fontsize=8,
    )
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), title="by event")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12 if len(names) > 3 else -0.3), ncols=3, fontsize=8)
    return figure


def _colour(name: str) -> tuple[float, float, float]:
    red, green, blue = COLOURS[name]
    return red / 255, green / 255, blue / 255


def _title(name: str) -> str:
    return name.replace("_", " ")
