"""A private S3 server for a benchmark, on free ports of this machine, removed when the benchmark ends."""

from __future__ import annotations

import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from siamese.errors import SiameseError
from siamese.settings import Settings
from siamese.stack.certificates import write_security
from siamese.stack.health import storage_fault
from siamese.stack.ports import LOOPBACK, choose
from siamese.stack.services import storage_command
from siamese.store import ObjectStore

_PORTS = ("storage", "storage-master", "storage-volume", "storage-filer", "storage-admin")
_PATIENCE_S = 30.0


@contextmanager
def local_storage(kept: Path | None = None) -> Iterator[ObjectStore]:
    """Starts the server, points this process to it, and creates the three buckets.

    Args:
        kept: Folder that keeps the data, so that the next server continues with them; by default they are removed too.

    Raises:
        SiameseError: The server does not answer.
    """
    with nullcontext(kept) if kept else tempfile.TemporaryDirectory(prefix="siamese-benchmark-") as name:
        folder = Path(name).absolute()
        ports = choose({}, dict.fromkeys(_PORTS))
        os.environ.update(
            AWS_ENDPOINT_URL=f"http://{LOOPBACK}:{ports['storage']}",
            AWS_ACCESS_KEY_ID="benchmark",
            AWS_SECRET_ACCESS_KEY=secrets.token_hex(16),
            AWS_DEFAULT_REGION="us-east-1",
        )
        data = folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        write_security(data)
        with (folder / "server.log").open("wb") as log:
            # In its own session, so that Ctrl-C does not reach it: an interrupted run may still store its state.
            server = subprocess.Popen(  # noqa: S603
                storage_command(data, ports, data), cwd=data, stdout=log, stderr=log, start_new_session=True
            )
        try:
            _wait(server)
            store = ObjectStore(Settings(home=folder / "home"))
            there = {bucket["Name"] for bucket in store.client.list_buckets()["Buckets"]}
            for bucket in {store.raw.bucket, store.lake.bucket, store.maps.bucket} - there:
                store.client.create_bucket(Bucket=bucket)
                store.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
            yield store
        finally:
            server.terminate()
            server.wait(30)


def _wait(server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _PATIENCE_S
    while (fault := storage_fault(os.environ)) is not None:
        if server.poll() is not None or time.monotonic() > end:
            raise SiameseError(fault, where="the benchmark's S3 server", fix="see whether `weed mini` runs here")
        time.sleep(0.2)
