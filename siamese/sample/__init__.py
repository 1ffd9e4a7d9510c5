"""Synthetic scenes in xBD's layout: for a first look, for teaching, and for tests of scale."""

from siamese.sample.imagery import write_imagery
from siamese.sample.write import Sample, write_sample

__all__ = ["Sample", "write_imagery", "write_sample"]
