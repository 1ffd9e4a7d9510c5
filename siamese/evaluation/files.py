"""Writes metrics and plots as local files, where DVC looks for them."""

from __future__ import annotations

import json
from pathlib import Path

from siamese.errors import SiameseError
from siamese.evaluation.plots import draw_plots
from siamese.evaluation.report import Report
from siamese.evaluation.tables import plot_tables
from siamese.manifests import Scores


def write_metrics(report: Report, path: Path) -> None:
    """Writes the seven official figures as one flat JSON object, for ``dvc metrics``."""
    figures = {name: getattr(report, name) for name in Scores.model_fields}
    _write(path, (json.dumps(figures, indent=1) + "\n").encode())


def write_plots(report: Report, folder: Path) -> None:
    """Writes every plot as PNG and its data as CSV, for ``dvc plots``."""
    for name, picture in draw_plots(report).items():
        _write(folder / f"{name}.png", picture)
    for name, table in plot_tables(report).items():
        _write(folder / f"{name}.csv", table)


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise SiameseError(f"cannot be written: {error.strerror}", where=str(path), fix="pass another path") from error
