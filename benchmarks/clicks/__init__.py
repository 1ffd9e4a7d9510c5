"""Parts of benchmarks/adaptation.py: held-out events as arrays, ways to learn from clicks, and their scores."""
