"""Real servers for the tests: one S3 server a session, fresh buckets a test."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from siamese.settings import Settings
from siamese.store import ObjectStore

DATA = Path(os.environ.get("SIAMESE_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real scenes and imagery; the test is skipped where it is absent."""
    if not DATA.is_dir():
        pytest.skip(f"no real data at {DATA}; set SIAMESE_DATA")
    return DATA


def free_ports(count: int) -> list[int]:
    """Ports below 50000, so that +10000 is a port too, free at this moment."""
    ports: list[int] = []
    while len(ports) < count:
        port = 20_000 + secrets.randbelow(25_000)
        if port in ports:
            continue
        with socket.socket() as one, socket.socket() as two:
            try:
                one.bind(("127.0.0.1", port))
                two.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
        ports.append(port)
    return ports


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real S3 server on a free port; gives its endpoint."""
    folder = tmp_path_factory.mktemp("s3")
    s3, master, volume, filer, admin = free_ports(5)
    weed = shutil.which("weed", path=str(Path(sys.executable).parent))
    assert weed
    environment = os.environ | {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test-secret"}
    with (folder / "weed.log").open("wb") as log:
        server = subprocess.Popen(
            [weed, "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-s3.port={s3}",
             f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}", f"-admin.port={admin}",
             "-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false", "-master.telemetry=false"],
            stdout=log, stderr=log, env=environment,
        )  # fmt: skip
        endpoint = f"http://127.0.0.1:{s3}"
        os.environ.update(
            AWS_ENDPOINT_URL=endpoint,
            AWS_ACCESS_KEY_ID="test",
            AWS_SECRET_ACCESS_KEY="test-secret",  # noqa: S106
            AWS_DEFAULT_REGION="us-east-1",
            MLFLOW_S3_ENDPOINT_URL=endpoint,
        )
        try:
            _wait(server)
            yield endpoint
        finally:
            server.terminate()
            server.wait(20)


def _wait(server: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        assert server.poll() is None, "the S3 server ended; see weed.log"
        try:
            ObjectStore().client.list_buckets()
        except Exception:
            time.sleep(0.1)
        else:
            return
    pytest.fail("the S3 server did not answer")


@pytest.fixture
def store(s3_server: str, tmp_path: Path) -> ObjectStore:
    """A store with three fresh, versioned buckets."""
    del s3_server
    mark = secrets.token_hex(4)
    names = {f"{use}_bucket": f"{use}-{mark}" for use in ("raw", "lake", "maps")}
    store = ObjectStore(Settings(home=tmp_path / "home", **names))
    for name in names.values():
        store.client.create_bucket(Bucket=name)
        store.client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return store
