"""The stage ``evaluation``."""

from __future__ import annotations

from siamese.manifests import Evaluation
from siamese.params import EvaluationParams
from siamese.store import Stage

EVALUATION = Stage(Evaluation, version=2, package="siamese.evaluation", sections={"evaluation": EvaluationParams})
