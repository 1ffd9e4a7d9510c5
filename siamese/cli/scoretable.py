"""Human-readable tables of an xView2 score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table

from siamese.metrics import Counts, Interval, Tally

if TYPE_CHECKING:
    from siamese.evaluation import Report
    from siamese.evaluation.report import Calibration, Member


def counts_table(counts: Counts, interval: Interval | None = None) -> Table:
    """Returns a table of the score, its component F1 values, and the pixel counts behind them."""
    scores = counts.scores()
    table = Table(title="xView2 score", title_justify="left")
    for name in ("", "F1", "precision", "recall", "true pixels"):
        table.add_column(name, justify="right" if name else "left")
    table.add_row(*_row("localization", counts.localization))
    for name, tally in counts.damage.items():
        table.add_row(*_row(name.replace("_", " "), tally))
    table.add_row("damage (harmonic mean)", f"{scores.damage_f1:.4f}")
    spread = f"{interval.low:.3f} to {interval.high:.3f}" if interval else ""
    table.add_row("score", f"{scores.score:.4f}", spread, "95 %" if interval else "", style="bold")
    return table


def report_text(report: Report) -> RenderableType:
    """Returns the report as text: the score, each event, buildings, and the worst scenes."""
    events = Table(title="By event", title_justify="left")
    for name in ("event", "scenes", "buildings", "score", "localization F1", "mean damage F1, classes present"):
        events.add_column(name, justify="left" if name == "event" else "right")
    for event, one in report.events.items():
        scores = one.pixels.scores
        buildings = f"{one.buildings.detection.support:,}"
        figures = (scores.score, scores.localization_f1, one.pixels.mean_f1_present)
        events.add_row(event, str(one.scenes), buildings, *(f"{figure:.4f}" for figure in figures))
    found = report.buildings
    lines = (
        f"{report.scenes} scenes; buildings at IoU {report.iou:g}: detection F1 {found.detection.f1:.4f}, "
        f"damage macro F1 {found.macro_f1:.4f} (matched alone {found.matched_macro_f1:.4f})",
        f"Calibration error: damage {_error(report.damage_calibration)} ({_error(report.raw_damage_calibration)} "
        f"before temperatures), building {_error(report.building_calibration)} "
        f"({_error(report.raw_building_calibration)})",
        f"Most wrong pixels: {', '.join(row.scene for row in report.failures[:3]) or 'none'}",
    )
    skipped = (f"Not scored: {len(report.skipped)} scenes without labels",) if report.skipped else ()
    ensemble = (_members_table(report.members),) if report.members else ()
    return Group(counts_table(report.counts, report.intervals["score"]), *ensemble, events, *lines, *skipped)


def _members_table(members: Sequence[Member]) -> Table:
    """Returns a table of scores and costs of each model and of the whole ensemble."""
    table = Table(title="Ensemble", title_justify="left")
    for name in ("model", "score", "localization F1", "damage F1", "GFLOP a pair", "seconds a pair"):
        table.add_column(name, justify="left" if name == "model" else "right")
    for one in members:
        scores = one.scores
        name = one.models[0] if len(one.models) == 1 else f"average of {len(one.models)}"
        figures = (scores.score, scores.localization_f1, scores.damage_f1)
        cells = *(f"{figure:.4f}" for figure in figures), f"{one.gflop:.1f}", f"{one.seconds:.3f}"
        table.add_row(name, *cells, style="bold" if one is members[-1] else "")
    return table


def _error(calibration: Calibration) -> str:
    return f"{calibration.expected_calibration_error:.4f}"


def _row(name: str, tally: Tally) -> tuple[str, ...]:
    return (name, f"{tally.f1:.4f}", f"{tally.precision:.4f}", f"{tally.recall:.4f}", f"{tally.support:,}")
