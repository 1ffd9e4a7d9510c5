"""The stages ``label-set``, ``adapted-buildings``, ``assessment-sample`` and ``assessment``."""

from __future__ import annotations

from siamese.manifests import Assessment, AssessmentSample, BuildingSet, LabelSet
from siamese.params import AdaptationParams
from siamese.store import Stage

LABEL_SET = Stage(LabelSet, version=1, package="siamese.adaptation", sections={})
ADAPTED = Stage(
    BuildingSet,
    version=1,
    package="siamese.adaptation",
    sections={"adaptation": AdaptationParams},
    name="adapted-buildings",
)
SAMPLE = Stage(AssessmentSample, version=1, package="siamese.adaptation", sections={})
ASSESSMENT = Stage(Assessment, version=2, package="siamese.adaptation", sections={})
