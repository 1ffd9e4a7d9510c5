"""Similarity: networks that turn images, series, vectors or texts into vectors whose distance tells same from other."""
