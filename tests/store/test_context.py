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


def test_importing_everything_changes_nothing_of_the_process() -> None:
    code = (
        "import os, warnings; before = dict(os.environ); "
        "import siamese.settings, siamese.store, siamese.manifests, siamese.params; siamese.store.ObjectStore(); "
        "assert dict(os.environ) == before; assert not any('geotransform' in str(one[1]) for one in warnings.filters)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
