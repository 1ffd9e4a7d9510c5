"""Settings read from the environment: locations of stores, servers and local files, and what runs networks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from dotenv import dotenv_values
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

STACK_ENV_FILE = "stack.env"
_LOGINS = {
    "MLFLOW_TRACKING_URI": ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"),
    "PREFECT_API_URL": ("PREFECT_API_AUTH_STRING", "PREFECT_HOME"),
}
_OWN_STORAGE = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID", "AWS_PROFILE")
QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    # By default MLflow would retry a dead server for many minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "DVC_NO_ANALYTICS": "1",
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "AWS_VIRTUAL_HOSTING": "FALSE",
}

BackendName = Literal["auto", "torch", "openvino"]


class Settings(BaseSettings):
    """Locations, and what runs networks. Each field is read from the environment variable ``SIAMESE_<FIELD>``."""

    model_config = SettingsConfigDict(env_prefix="SIAMESE_", frozen=True)

    home: Path = Field(Path(".siamese"), description="Folder of the local stack: data, logs, credentials, cache.")
    raw_bucket: str = Field("raw", description="Bucket that imagery and labels arrive in.")
    lake_bucket: str = Field("lake", description="Bucket of manifests and what they name.")
    maps_bucket: str = Field("maps", description="Bucket of published damage maps.")
    backend: BackendName = Field(
        "auto", description="What runs trained networks. auto: PyTorch, or OpenVINO where there is much to do on a CPU."
    )

    @property
    def cache(self) -> Path:
        """Folder of local copies; may be deleted at any time."""
        return self.home / "cache"


def effective_environment(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment that clients of the stores and servers use.

    The given environment always takes precedence: if it holds any AWS setting of the user's own, none of the local
    stack's storage settings is applied.

    Args:
        settings: Holds the folder of the local stack.
        environment: Usually ``os.environ``; it is not changed.
    """
    return QUIET | _stack_environment(settings.home, environment) | dict(environment)


def read_stack_environment(home: Path) -> dict[str, str]:
    """Returns the client settings of the local stack in this folder; empty when there is no stack."""
    values = dotenv_values(home / STACK_ENV_FILE, interpolate=False)
    return {name: value for name, value in values.items() if value is not None}


def own_storage(home: Path, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the names of the user's own storage settings, those that differ from the local stack's; usually none."""
    stack = read_stack_environment(home)
    return tuple(name for name in _OWN_STORAGE if environment.get(name) and environment[name] != stack.get(name))


def _stack_environment(home: Path, environment: Mapping[str, str]) -> dict[str, str]:
    stack = read_stack_environment(home)
    if own_storage(home, environment):
        stack = {name: value for name, value in stack.items() if "AWS_" not in name and "S3_" not in name}
    for address, login in _LOGINS.items():
        # The stack's login applies to the stack's server only; the user's own Prefect profile may hold one for another.
        if environment.get(address, stack.get(address)) != stack.get(address):
            stack = {name: value for name, value in stack.items() if name not in login}
    return stack
