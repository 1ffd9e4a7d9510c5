"""The context that a command, flow or test opens at its entry point and passes on: settings, environment, storage."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from siamese.settings import Settings, effective_environment
from siamese.store.objects import ObjectStore


@dataclass(frozen=True)
class Context:
    """Settings, environment and storage. Creating one leaves the process unchanged; several can coexist."""

    settings: Settings
    environment: Mapping[str, str]
    """The environment in force: the caller's, completed by the local stack's."""

    @cached_property
    def store(self) -> ObjectStore:
        """The object storage of this context."""
        return ObjectStore(self.settings, self.environment)

    def export(self) -> None:
        """Applies it to the process's environment, for libraries that read nothing else (MLflow, Prefect, DVC, GDAL).

        Only for the entry point of a process that serves one context: the command line, or a flow's worker.
        """
        for name, value in self.environment.items():
            os.environ.setdefault(name, value)


def open_context(settings: Settings | None = None, environment: Mapping[str, str] | None = None) -> Context:
    """Opens a context.

    Args:
        settings: Settings; by default read from the process's environment.
        environment: Environment; by default the process's.
    """
    settings = settings or Settings()
    return Context(settings, effective_environment(settings, os.environ if environment is None else environment))
