"""Prefect flows: the verbs composed, without numerics."""
