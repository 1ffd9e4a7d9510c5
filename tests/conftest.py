"""Real servers for the tests: one S3 server a session, one whole stack a module, fresh buckets a test."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import torch
from botocore.exceptions import BotoCoreError, ClientError
from builders.tinytraining import tiny_pairs
from running_stack import RunningStack
from waiting import until

from siamese.manifests import PairSet
from siamese.settings import Settings, read_stack_environment
from siamese.stack import down, up
from siamese.stack.certificates import write_security
from siamese.stack.disk import DiskSpace
from siamese.stack.environment import service_environment
from siamese.stack.layout import Layout
from siamese.stack.ports import choose
from siamese.stack.record import Record
from siamese.stack.services import MLFLOW, STORAGE, USUAL_PORTS, remove_storage_sockets, storage_command, tracker
from siamese.store import ObjectStore

SERVERS = ("stack", "mlflow_server", "prefect_server", "s3_server")
"""Fixtures that start a server; their tests are in this order, the slowest first, where workers share them."""
_SHARED = ("mlflow_server", "prefect_server")
"""Of these one is started for all tests; a stack serves one module, and every worker has an S3 server of its own."""
# No test measures seconds, and a loaded machine is slow.
hypothesis.settings.register_profile("no-deadline", deadline=None)
hypothesis.settings.load_profile("no-deadline")

DATA = Path(os.environ.get("SIAMESE_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks tests that need a server, and shares out tests between the workers of pytest-xdist.

    A group runs on one worker: one MLflow server serves all its tests, and a module's fixtures are made once. The
    longest groups start first, so that no worker is left alone with one at the end.
    """
    needed = {item: [name for name in SERVERS if name in getattr(item, "fixturenames", ())] for item in items}
    for item in items:
        if needed[item]:
            item.add_marker(pytest.mark.servers)
    if not hasattr(config, "workerinput"):
        return
    for item in items:
        shared = "" if "stack" in needed[item] else next((name for name in needed[item] if name in _SHARED), "")
        item.add_marker(pytest.mark.xdist_group(shared or item.nodeid.split("::")[0]))
    items.sort(key=lambda item: [name not in needed[item] for name in SERVERS])


@pytest.fixture(scope="session", autouse=True)
def _no_stack_of_ones_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A local stack that runs in this folder, e.g. that of ``make demo``, is neither found nor written to."""
    os.environ["SIAMESE_HOME"] = str(tmp_path_factory.mktemp("home"))
    for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI"):
        os.environ.pop(name, None)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real scenes and imagery; the test is skipped where it is absent."""
    if not DATA.is_dir():
        pytest.skip(f"no real data at {DATA}; set SIAMESE_DATA")
    return DATA


def free_ports(count: int) -> list[int]:
    """Ports below 50000, so that +10000 is a port too, free at this moment."""
    return list(choose({}, dict.fromkeys(map(str, range(count)))).values())


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real S3 server on a free port; gives its endpoint."""
    folder = tmp_path_factory.mktemp("s3")
    DiskSpace.of(folder).check()
    ports = choose({}, {name: None for name in USUAL_PORTS if name.startswith(STORAGE)})
    environment = os.environ | {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test-secret"}
    write_security(folder)
    with (folder / "weed.log").open("wb") as log:
        command = storage_command(folder, ports, folder)
        server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment)
        endpoint = f"http://127.0.0.1:{ports[STORAGE]}"
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
            server.wait(120)
            remove_storage_sockets(ports)


def _wait(server: subprocess.Popen[bytes]) -> None:
    def answers() -> bool:
        assert server.poll() is None, "the S3 server ended; see weed.log"
        try:
            ObjectStore().client.list_buckets()
        except (BotoCoreError, ClientError):
            return False
        return True

    until(answers, "the S3 server's first answer")


@pytest.fixture
def store(s3_server: str, tmp_path: Path) -> Iterator[ObjectStore]:
    """A store with three fresh, versioned buckets."""
    del s3_server
    mark = secrets.token_hex(4)
    names = {f"{use}_bucket": f"{use}-{mark}" for use in ("raw", "lake", "maps")}
    store = ObjectStore(Settings(home=tmp_path / "home", **names))
    for name in names.values():
        store.client.create_bucket(Bucket=name)
        store.client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    yield store
    # A server has room for some sixty buckets; it empties one that it deletes.
    for name in names.values():
        store.client.delete_bucket(Bucket=name)


@pytest.fixture(scope="session")
def mlflow_server(s3_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MLflow server: SQLite, artifacts on the tests' S3 server; gives its address.

    It asks for the login that this process's clients are given here.
    """
    del s3_server
    os.environ.update(MLFLOW_TRACKING_USERNAME="test", MLFLOW_TRACKING_PASSWORD="test-secret")  # noqa: S106
    layout = Layout(tmp_path_factory.mktemp("mlflow"))
    layout.make()
    service = tracker(Settings(), layout, choose({}, {MLFLOW: None}), os.environ)
    service.folder.mkdir(parents=True, exist_ok=True)
    assert service.page
    with (layout.home / "mlflow.log").open("wb") as log:
        server = subprocess.Popen(service.command, env=dict(service.environment), stdout=log, stderr=log)
        try:

            def answers() -> bool:
                assert server.poll() is None, "MLflow ended; see mlflow.log"
                return service.probe(0) is None

            until(answers, "MLflow's first answer", every_s=0.2)
            yield service.page
        finally:
            server.terminate()
            server.wait(30)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """Real S3, Prefect and MLflow servers and workers for both pools, on free ports, in a folder of their own.

    It leaves this process's environment as it is: give ``stack.environment`` to subprocesses.
    """
    root = tmp_path_factory.mktemp("a stack")
    settings = Settings(home=root / ".siamese", raw_bucket="raw", lake_bucket="lake", maps_bucket="maps")
    layout = Layout(settings.home)
    layout.make()
    Record(ports=choose({}, dict.fromkeys(USUAL_PORTS))).write(layout)
    outer = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    try:
        up(settings, root=root, outer=outer)
        client = read_stack_environment(settings.home)
        yield RunningStack(settings, root, service_environment(settings, outer, client, own_storage=False))
    finally:
        down(settings)


@pytest.fixture
def pairs(store: ObjectStore) -> PairSet:
    """A pair set that a tiny network learns in seconds."""
    return tiny_pairs(store)


@pytest.fixture
def no_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is tracked, whatever is set up where the tests run."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Tiny networks are quickest on one thread, above all where other work runs beside."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
