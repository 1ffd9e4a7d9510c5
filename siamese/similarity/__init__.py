"""Similarity: networks that make vectors of images, series, vectors or texts; distance separates same from other."""
