"""Parts of ``benchmarks/quality.py``: folds, contestants, one judge for all of them, results, tables."""
