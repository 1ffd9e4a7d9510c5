"""Prefect flows that compose the verbs; they contain no numerics."""
