"""Prefect flows that compose the verbs; they contain no numerics.

Steps import the verbs that they call: flows are deployed, and begin, without PyTorch, MLflow or GDAL.
"""
