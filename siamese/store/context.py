"""The context that a command, a flow or a test makes at its door and hands on: settings, environment, storage."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from siamese.settings import Settings, effective_environment
from siamese.store.objects import ObjectStore


@dataclass(frozen=True)
class Context:
    """Where everything is. Making one changes nothing of the process; several can live side by side."""

    settings: Settings
    environment: Mapping[str, str]
    """The environment in force: the caller's, completed by the local stack's."""

    @cached_property
    def store(self) -> ObjectStore:
        """Object storage of this context."""
        return ObjectStore(self.settings, self.environment)

    def export(self) -> None:
        """Points libraries that read nothing but the process's environment (MLflow, Prefect, DVC, GDAL) at it.

        Only for the door of a process that serves one context: the command line, or a flow's worker.
        """
        for name, value in self.environment.items():
            os.environ.setdefault(name, value)
        # Burning polygons into an array in memory warns of that array's lack of a georeference, once in every thread.
        warnings.filterwarnings("ignore", message="Dataset has no geotransform|The given matrix is equal")


def open_context(settings: Settings | None = None, environment: Mapping[str, str] | None = None) -> Context:
    """Makes a context.

    Args:
        settings: By default those of the process's environment.
        environment: By default the process's.
    """
    settings = settings or Settings()
    return Context(settings, effective_environment(settings, os.environ if environment is None else environment))
