"""Parts of ``benchmarks/quality.py``: folds, contestants, a common judge, results, tables."""
