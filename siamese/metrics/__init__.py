"""Measures of prediction quality: the official xView2 metric, scores per building, calibration."""

from siamese.metrics.bootstrap import Interval, bootstrap
from siamese.metrics.buildings import (
    BuildingCounts,
    Buildings,
    count_buildings,
    judge_buildings,
    macro_f1,
    match_buildings,
)
from siamese.metrics.calibration import Reliability, count_reliability
from siamese.metrics.xview2 import Counts, Tally, confusion, count_scene

__all__ = [
    "BuildingCounts",
    "Buildings",
    "Counts",
    "Interval",
    "Reliability",
    "Tally",
    "bootstrap",
    "confusion",
    "count_buildings",
    "count_reliability",
    "count_scene",
    "judge_buildings",
    "macro_f1",
    "match_buildings",
]
