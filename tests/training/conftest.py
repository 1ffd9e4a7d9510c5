"""What every test of training starts from."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def alone(no_mlflow: None) -> None:
    """Nobody outside the test is told."""
