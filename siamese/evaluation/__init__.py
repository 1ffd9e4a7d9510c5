"""Evaluates a network: on a split of a pair set, or on a folder of scenes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siamese.lazy import lazily

if TYPE_CHECKING:
    from siamese.evaluation.report import Report
    from siamese.evaluation.verb import evaluate, evaluate_folder, read_counts, read_report

__all__ = ["Report", "evaluate", "evaluate_folder", "read_counts", "read_report"]

# Reports of published evaluations are read without the network.
__getattr__ = lazily(
    __name__,
    {
        "siamese.evaluation.report": ("Report",),
        "siamese.evaluation.verb": ("evaluate", "evaluate_folder", "read_counts", "read_report"),
    },
)
