"""What every test here starts from."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def alone(no_mlflow: None, one_thread: None) -> None:
    """Nothing outside the test is told or kept busy."""
