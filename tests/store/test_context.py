"""Making a context or a store changes nothing of the process."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import warnings
from pathlib import Path

from siamese.settings import STACK_ENV_FILE, Settings
from siamese.store import ObjectStore, open_context


def test_two_stores_with_different_endpoints_and_keys_live_side_by_side(tmp_path: Path, store: ObjectStore) -> None:
    keys = {}
    for name, port in (("one", 1111), ("two", 2222)):
        home = tmp_path / name
        home.mkdir()
        keys[name] = secrets.token_hex(8)
        (home / STACK_ENV_FILE).write_text(
            f"AWS_ENDPOINT_URL='http://127.0.0.1:{port}'\nAWS_ACCESS_KEY_ID='{keys[name]}'\n"
            "AWS_SECRET_ACCESS_KEY='secret'\nAWS_DEFAULT_REGION='us-east-1'\n"
        )
    before, filters = dict(os.environ), list(warnings.filters)
    one, two = (open_context(Settings(home=tmp_path / name), {}).store for name in ("one", "two"))
    assert one.client.meta.endpoint_url == "http://127.0.0.1:1111"
    assert two.client.meta.endpoint_url == "http://127.0.0.1:2222"
    signed = [each.share(each.raw / "x", 60) for each in (one, two)]
    assert [key in url for key, url in zip(keys.values(), signed, strict=True)] == [True, True]
    assert list(store.list(store.raw)) == [], "the store of the process's environment works beside them"
    assert dict(os.environ) == before
    assert warnings.filters == filters


def test_the_environments_own_storage_wins_over_the_local_stacks(tmp_path: Path) -> None:
    (tmp_path / STACK_ENV_FILE).write_text("AWS_ENDPOINT_URL='http://127.0.0.1:1'\nMLFLOW_TRACKING_URI='http://m'\n")
    context = open_context(Settings(home=tmp_path), {"AWS_ENDPOINT_URL": "http://127.0.0.1:2"})
    assert context.store.client.meta.endpoint_url == "http://127.0.0.1:2"
    assert context.environment["MLFLOW_TRACKING_URI"] == "http://m"


def test_importing_everything_and_making_a_store_or_a_tracker_changes_nothing_of_the_process() -> None:
    nobody = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_EVERYTHING],
        cwd=Path(__file__).parents[2], env=os.environ | nobody, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 400, "modules"


_IMPORT_EVERYTHING = """
import importlib, os, pkgutil, warnings
# What these libraries change on import is not ours.
import cv2, lightning_fabric, mlflow, mlflow.entities, rasterio.session, sklearn.cluster, torch
import siamese

def state():
    return dict(os.environ), list(warnings.filters), rasterio.session.Session.from_environ, torch.get_num_threads()

before = state()
names = [found.name for found in pkgutil.walk_packages(siamese.__path__, "siamese.")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)

from siamese.learning.tracking import Tracker
from siamese.store import open_context

open_context().store
Tracker(name="x", params={}, tags={}, run_id=None)
assert state() == before, [set(map(str, now)) ^ set(map(str, then)) for now, then in zip(state()[:2], before)]
print(len(names))
"""


def test_the_first_reader_of_a_raster_has_rasterio_make_no_sessions_and_no_warnings(tmp_path: Path) -> None:
    code = """
import sys, warnings
from pathlib import Path
import numpy as np, rasterio.session
from siamese.geo.gdal import local_gdal, opened, prepare_rasterio

def made(*_, **__):
    raise AssertionError("a session was made")

with rasterio.Env(session=rasterio.session.DummySession()), warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    with rasterio.open(sys.argv[1], "w", driver="GTiff", width=8, height=8, count=1, dtype="uint8") as out:
        out.write(np.zeros((1, 8, 8), np.uint8))
    assert said, "rasterio warns of a raster that lies nowhere"
rasterio.session.AWSSession.__init__ = made
for _ in range(2):  # others may put back the filters that they saved
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with opened(Path(sys.argv[1]), "x") as dataset, rasterio.Env():
            assert dataset.read().shape == (1, 8, 8)
        filters = list(warnings.filters)
        prepare_rasterio()
        assert warnings.filters == filters
"""
    storage = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "x"}
    command = [sys.executable, "-c", code, str(tmp_path / "nowhere.tif")]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], env=os.environ | storage, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
