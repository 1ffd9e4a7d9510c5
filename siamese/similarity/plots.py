"""Plots of a similarity evaluation, and pictures of items."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from siamese.params.similarity import ItemKind
from siamese.similarity.data.items import Items
from siamese.similarity.report import Measured
from siamese.tables import read_csv

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SAME, OTHER = "#00796b", "#d84315"
_HISTORY = ("loss", "auc", "one_shot", "recall_at_1", "eer")


def draw_plots(measured: Measured, items: Items, curves: bytes) -> dict[str, bytes]:
    """Returns PNG images by name: ``roc``, ``det``, ``distances``, ``pairs`` and ``history``."""
    plots = {"roc": _roc(measured), "det": _det(measured), "distances": _distances(measured)}
    plots["history"] = _history(curves)
    if measured.report.worst:
        plots["pairs"] = _gallery(measured, items)
    return {name: png(figure) for name, figure in plots.items()}


def figure_of(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Figure, NDArray[Any]]:
    """Returns a figure of so many inches, and its axes as ``(rows, columns)``."""
    from matplotlib.figure import Figure

    figure = Figure((width, height), dpi=110, layout="constrained")
    return figure, np.atleast_2d(figure.subplots(rows, columns, squeeze=False))


def png(figure: Figure) -> bytes:
    """Returns a figure as PNG."""
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": ""})
    return out.getvalue()


def show_item(axes: Axes, value: NDArray[Any], kind: ItemKind) -> None:
    """Draws one item: an image, the curves of a series, the bars of a vector, or a text."""
    axes.set_xticks([])
    axes.set_yticks([])
    match kind:
        case "image":
            axes.imshow(value[..., 0] if value.shape[2] == 1 else value, cmap="gray", vmin=0, vmax=255)
        case "series":
            axes.plot(value.T, linewidth=0.8)
        case "vector":
            axes.bar(range(len(value)), value, width=1.0)
        case "text":
            text = bytes(value).rstrip(b"\0").decode(errors="replace")
            axes.text(0.5, 0.5, text, ha="center", va="center", fontsize=7, wrap=True)


_CAPTION = 20
"""Characters that fit above a picture."""


def _short(text: str) -> str:
    """Cuts the middle out of a long caption: names differ at their end."""
    return text if len(text) <= _CAPTION else f"{text[:4]}…{text[5 - _CAPTION :]}"


def sheet(rows: Sequence[Sequence[tuple[NDArray[Any], str]]], kind: ItemKind, title: str = "") -> bytes:
    """Returns a PNG with items in rows, each with a line of text above it."""
    columns = max(map(len, rows))
    figure, axes = figure_of(1.5 * columns, 1.75 * len(rows), len(rows), columns)
    for row, line in enumerate(axes):
        for column, place in enumerate(line):
            if column < len(rows[row]):
                value, told = rows[row][column]
                show_item(place, value, kind)
                place.set_title(_short(told), fontsize=7)
            else:
                place.axis("off")
    if title:
        figure.suptitle(title, fontsize=9)
    return png(figure)


def _roc(measured: Measured) -> Figure:
    figure, axes = figure_of(4.6, 4.4)
    rates, scores = measured.rates, measured.report.scores
    place: Axes = axes[0, 0]
    place.plot(rates.false_accepts, 1 - rates.false_rejects, color=SAME)
    place.plot([0, 1], [0, 1], color="grey", linewidth=0.7, linestyle=":")
    told = f"threshold {measured.report.threshold:.3f}"
    place.plot(scores.false_accepts, 1 - scores.false_rejects, "o", color=OTHER, label=told)
    place.set(xlabel="false accepts", ylabel="true accepts", title=f"ROC: area {rates.auc:.3f}", aspect="equal")
    place.legend(loc="lower right")
    return figure


def _det(measured: Measured) -> Figure:
    from scipy.stats import norm

    figure, axes = figure_of(4.6, 4.4)
    rates, place = measured.rates, axes[0, 0]
    ticks = np.array([0.001, 0.01, 0.05, 0.2, 0.5])
    keep = (rates.false_accepts > 0) & (rates.false_rejects > 0) & (rates.false_accepts < 1)
    place.plot(norm.ppf(rates.false_accepts[keep]), norm.ppf(rates.false_rejects[keep]), color=SAME)
    place.plot(norm.ppf(ticks), norm.ppf(ticks), color="grey", linewidth=0.7, linestyle=":")
    for axis in (place.xaxis, place.yaxis):
        axis.set_ticks(norm.ppf(ticks), [f"{100 * tick:g} %" for tick in ticks])
    ends = norm.ppf([0.0005, 0.7])
    place.set(xlim=ends, ylim=ends, xlabel="false accepts", ylabel="false rejects")
    place.set_title(f"DET: equal error {100 * rates.eer:.1f} %")
    place.grid(alpha=0.3)
    return figure


def _distances(measured: Measured) -> Figure:
    figure, axes = figure_of(6, 3.4)
    place, same = axes[0, 0], measured.listed.same
    bins = np.linspace(0, float(measured.distances.max()) or 1, 60)
    for wanted, colour, told in ((same, SAME, "same"), (~same, OTHER, "other")):
        place.hist(measured.distances[wanted], bins, density=True, color=colour, alpha=0.6, label=told)
    place.axvline(measured.report.threshold, color="black", linewidth=1, linestyle="--", label="threshold")
    place.set(xlabel="distance", ylabel="density", title=f"{measured.report.classes} classes, {len(same)} pairs")
    place.legend()
    return figure


def _history(curves: bytes) -> Figure:
    table = read_csv(curves)
    names = [name for name in _HISTORY if name in table]
    figure, axes = figure_of(3 * max(1, len(names)), 2.8, 1, max(1, len(names)))
    for place, name in zip(axes[0], names, strict=False):
        rows = [(int(x), float(y)) for x, y in zip(table["epoch"], table[name], strict=True) if y]
        place.plot(*zip(*rows, strict=True), color=SAME) if rows else None
        place.set(title=name.replace("_", " "), xlabel="epoch")
        place.grid(alpha=0.3)
    return figure


def _gallery(measured: Measured, items: Items) -> Figure:
    place_of: Mapping[str, int] = {name: number for number, name in enumerate(items.ids)}
    shown = measured.report.worst
    half = max(sum(pair.same for pair in shown), sum(not pair.same for pair in shown))
    figure, axes = figure_of(1.1 * max(half, 2), 5.6, 4, max(half, 1))
    for place in axes.ravel():
        place.axis("off")
    for start, same in ((0, True), (2, False)):
        for column, pair in enumerate([pair for pair in shown if pair.same == same]):
            for row, name in enumerate((pair.first, pair.second)):
                place = axes[start + row, column]
                place.axis("on")
                show_item(place, items.values[place_of[name]], items.kind)
            axes[start, column].set_title(f"{pair.distance:.2f}", fontsize=7, color=SAME if same else OTHER)
    figure.suptitle("above: the same, yet farthest apart; below: others, yet nearest", fontsize=8)
    return figure
