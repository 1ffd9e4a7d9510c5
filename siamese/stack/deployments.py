"""Creates the Prefect deployments described in a project's prefect.yaml."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from siamese import params
from siamese.errors import SiameseError

DEPLOYMENTS_FILE = "prefect.yaml"
_PATIENCE_S = 300.0
_LAST_LINES = 6


def fingerprint(root: Path) -> str | None:
    """Returns a hash of what determines the deployments: prefect.yaml, the flows beside it, and the params package.

    Returns:
        None when the project has no prefect.yaml.

    Raises:
        SiameseError: prefect.yaml does not hold a list of deployments.
    """
    path = root / DEPLOYMENTS_FILE
    if not path.is_file():
        return None
    sources = {path}
    for entrypoint in _entrypoints(path):
        sources.update((root / entrypoint.partition(":")[0]).parent.glob("*.py"))
    sources.update(Path(params.__file__).parent.glob("*.py"))
    digest = hashlib.sha256(str(root).encode())
    for source in sorted(sources):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:16]


def deploy(root: Path, environment: Mapping[str, str]) -> None:
    """Creates or updates every deployment of the project.

    Args:
        root: Folder that contains prefect.yaml; workers run flows there.
        environment: The complete environment, including the Prefect server's address.

    Raises:
        SiameseError: Prefect refused; the message includes its output.
    """
    command = (sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all")
    try:
        done = subprocess.run(  # noqa: S603
            command,
            cwd=root,
            env={**environment, "TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "200"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        fix = "`siamese status` tells whether the Prefect server works"
        raise SiameseError(f"deploying took over {_PATIENCE_S:.0f} s", where=DEPLOYMENTS_FILE, fix=fix) from error
    if done.returncode != 0:
        said = " | ".join([line.strip() for line in done.stdout.splitlines() if line.strip()][-_LAST_LINES:])
        fix = "mend it, or leave deploying out with --no-deploy"
        raise SiameseError(f"cannot be deployed: {said}", where=str(root / DEPLOYMENTS_FILE), fix=fix)


def _entrypoints(path: Path) -> list[str]:
    try:
        tree = yaml.safe_load(path.read_text())
        return [entry["entrypoint"] for entry in tree["deployments"] if entry.get("entrypoint")]
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise SiameseError("not a list of deployments", where=str(path), fix="see Prefect's prefect.yaml") from error
