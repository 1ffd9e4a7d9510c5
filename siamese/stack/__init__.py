"""The local stack: an S3 server, Prefect, MLflow and workers on this machine, reachable from it alone."""

from siamese.stack.report import StackStatus, status
from siamese.stack.stack import down, up

__all__ = ["StackStatus", "down", "status", "up"]
