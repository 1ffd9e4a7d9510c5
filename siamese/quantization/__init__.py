"""A trained network in 8-bit integers, for processors: faster, and a little less exact, which is measured."""

from siamese.quantization.verb import quantize

__all__ = ["quantize"]
