"""Environment variables of the local stack's clients, servers and workers."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from siamese.settings import QUIET, Settings
from siamese.stack.credentials import REGION, USER, Credentials
from siamese.stack.layout import Layout
from siamese.stack.ports import LOOPBACK

_OURS = ("PREFECT_", "MLFLOW_", "_MLFLOW_")
_STORAGE = ("AWS_",)
MANAGED = ("AWS_", "PREFECT_", "MLFLOW_", "SIAMESE_", "MALLOC_", "GLIBC_", "GOMEMLIMIT")


def client_environment(layout: Layout, ports: Mapping[str, int], credentials: Credentials) -> dict[str, str]:
    """Returns the variables that every client of the stack needs: the lines of ``stack.env``."""
    endpoint = f"http://{LOOPBACK}:{ports['storage']}"
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": credentials.key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_HTTPS": "NO",
        "AWS_S3_ENDPOINT": f"{LOOPBACK}:{ports['storage']}",
        "MLFLOW_S3_ENDPOINT_URL": endpoint,
        "MLFLOW_TRACKING_USERNAME": USER,
        "MLFLOW_TRACKING_PASSWORD": credentials.password,
        "MLFLOW_TRACKING_URI": f"http://{LOOPBACK}:{ports['mlflow']}",
        "PREFECT_API_URL": f"http://{LOOPBACK}:{ports['prefect']}/api",
        "PREFECT_API_AUTH_STRING": credentials.login,
        "PREFECT_HOME": str(layout.data("prefect")),
        "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
        # Waits of 2, 4, 8, … s, so that a run survives a server outage of a few minutes.
        "PREFECT_CLIENT_MAX_RETRIES": "8",
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
    }


def service_environment(
    settings: Settings, outer: Mapping[str, str], client: Mapping[str, str], *, own_storage: bool
) -> dict[str, str]:
    """Returns a service's complete environment: the caller's, minus settings of other stacks, plus the stack's own.

    Args:
        settings: With an absolute home folder, and the bucket names.
        outer: The caller's environment.
        client: The lines of ``stack.env``.
        own_storage: Whether to keep the caller's AWS settings instead of using the local S3 server.
    """
    dropped = _OURS if own_storage else _OURS + _STORAGE
    kept = {name: value for name, value in outer.items() if not name.startswith(dropped)}
    if own_storage:
        client = {name: value for name, value in client.items() if "AWS_" not in name and "S3_" not in name}
    places = {f"SIAMESE_{name.upper()}": str(value) for name, value in settings.model_dump().items()}
    tools = os.pathsep.join([str(Path(sys.executable).parent), outer.get("PATH", os.defpath)])
    return {**kept, **QUIET, **client, **places, "PATH": tools, "PYTHONUNBUFFERED": "1"}


def env_text(values: Mapping[str, str]) -> str:
    """Formats variables as KEY='VALUE' lines that both a shell and dotenv can read."""
    return "".join(f"{name}='{_quoted(value)}'\n" for name, value in values.items())


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")
