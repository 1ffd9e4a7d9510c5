"""The one place that reads the environment: where stores, servers and local files are, and what runs networks."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from dotenv import dotenv_values
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

STACK_ENV_FILE = "stack.env"
_LOGINS = {
    "MLFLOW_TRACKING_URI": ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"),
    "PREFECT_API_URL": ("PREFECT_API_AUTH_STRING",),
}
_OWN_STORAGE = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID", "AWS_PROFILE")
QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "DVC_NO_ANALYTICS": "1",
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "AWS_VIRTUAL_HOSTING": "FALSE",
}

BackendName = Literal["auto", "torch", "openvino"]


class Settings(BaseSettings):
    """Where things are, and what runs networks. Every field is an environment variable ``SIAMESE_<FIELD>``."""

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
        """Folder of local copies; may vanish at any time."""
        return self.home / "cache"


def activate(settings: Settings | None = None) -> Settings:
    """Points this process, and the libraries in it, at the user's stores or else at the local stack.

    What the user's environment already says always wins: with any AWS setting of their own, none of the local
    stack's storage settings is applied.

    Returns:
        The settings in force.
    """
    settings = settings or Settings()
    # Burning polygons into an array in memory warns of that array's lack of a georeference, once in every thread.
    warnings.filterwarnings("ignore", message="Dataset has no geotransform|The given matrix is equal")
    for name, value in (QUIET | _stack_environment(settings.home, os.environ)).items():
        os.environ.setdefault(name, value)
    return settings


def read_stack_environment(home: Path) -> dict[str, str]:
    """What the local stack in this folder says to its clients; empty when there is none."""
    values = dotenv_values(home / STACK_ENV_FILE, interpolate=False)
    return {name: value for name, value in values.items() if value is not None}


def own_storage(home: Path, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the user's own storage settings: those that say otherwise than the local stack's; mostly none."""
    stack = read_stack_environment(home)
    return tuple(name for name in _OWN_STORAGE if environment.get(name) and environment[name] != stack.get(name))


def _stack_environment(home: Path, environment: Mapping[str, str]) -> dict[str, str]:
    stack = read_stack_environment(home)
    if own_storage(home, environment):
        stack = {name: value for name, value in stack.items() if "AWS_" not in name and "S3_" not in name}
    for address, login in _LOGINS.items():
        # The stack's login is for the stack's server alone.
        if environment.get(address, stack.get(address)) != stack.get(address):
            stack = {name: value for name, value in stack.items() if name not in login}
    return stack
