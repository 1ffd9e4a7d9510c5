"""Building damage maps from satellite pairs: ingest, pairs, training, evaluation, registry, mapping."""

__version__ = "0.4.0"
