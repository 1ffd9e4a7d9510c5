"""The command line ``siamese``."""

from siamese.cli.app import main

__all__ = ["main"]
