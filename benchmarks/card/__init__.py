"""The parts of ``benchmarks/gpu.py``: each measures one thing on one card and reports figures as it goes."""
