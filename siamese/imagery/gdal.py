"""GDAL for files at hand: local ones, and those in memory."""

from __future__ import annotations

from typing import Any

import rasterio
from rasterio.session import DummySession


def local_gdal(**options: Any) -> rasterio.Env:  # noqa: ANN401
    """The environment for what follows, with GDAL's options; they are a thread's own.

    Where AWS settings are in force rasterio would make a boto3 session for every call outside of such an environment,
    and for every one that has no session: more work than the call's own, and much garbage.
    """
    return rasterio.Env(session=DummySession(), **options)
