"""The one place that reads the environment: where the stores and servers are, and where local files may lie."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

STACK_ENV_FILE = "stack.env"
_OWN_STORAGE = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID", "AWS_PROFILE")
_QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "DVC_NO_ANALYTICS": "1",
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "AWS_VIRTUAL_HOSTING": "FALSE",
}


class Settings(BaseSettings):
    """Where things are. Every field is an environment variable ``SIAMESE_<FIELD>``."""

    model_config = SettingsConfigDict(env_prefix="SIAMESE_", frozen=True)

    home: Path = Field(Path(".siamese"), description="Folder of the local stack: data, logs, credentials, cache.")
    raw_bucket: str = Field("raw", description="Bucket that imagery and labels arrive in.")
    lake_bucket: str = Field("lake", description="Bucket of manifests and what they name.")
    maps_bucket: str = Field("maps", description="Bucket of published damage maps.")

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
    for name, value in (_QUIET | _stack_environment(settings.home, os.environ)).items():
        os.environ.setdefault(name, value)
    return settings


def _stack_environment(home: Path, environment: Mapping[str, str]) -> dict[str, str]:
    path = home / STACK_ENV_FILE
    stack = {name: value for name, value in dotenv_values(path).items() if value is not None}
    if any(environment.get(name) for name in _OWN_STORAGE):
        stack = {name: value for name, value in stack.items() if "AWS_" not in name and "S3_" not in name}
    return stack
