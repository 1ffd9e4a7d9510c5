"""GDAL environments that read local files ask for no AWS credentials, and leave those of others alone."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import boto3
import numpy as np
import pytest
import rasterio
from affine import Affine
from image_files import png
from rasterio.session import AWSSession

from siamese.geo import local_gdal, open_raster


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


def test_warping_a_window_creates_no_session_of_boto3(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(png(np.full((64, 64, 3), 100, np.uint8)))
    raster = open_raster(path, "image.png", tmp_path)
    with patch.object(boto3, "Session", side_effect=AssertionError("a session was made")):
        pixels, valid = raster.read_on(None, Affine.translation(0.5, 0.5), 32, 32)
    assert (valid.all(), pixels.min(), pixels.max()) == (True, 100, 100)


def test_environments_of_others_keep_their_credentials() -> None:
    assert isinstance(rasterio.Env().session, AWSSession)
    with rasterio.Env():
        assert isinstance(rasterio.Env().session, AWSSession)
    with local_gdal():
        assert not isinstance(rasterio.Env().session, AWSSession)
    assert isinstance(rasterio.Env().session, AWSSession)
