"""Evaluates a network: on a split of a pair set, or on a folder of scenes."""

from siamese.evaluation.report import Report
from siamese.evaluation.verb import evaluate, evaluate_folder, read_counts, read_report

__all__ = ["Report", "evaluate", "evaluate_folder", "read_counts", "read_report"]
