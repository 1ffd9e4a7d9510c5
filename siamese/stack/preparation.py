"""What the servers need before work can begin: versioned buckets, and an automation that notices killed flow runs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from siamese.errors import SiameseError
from siamese.settings import Settings
from siamese.stack.health import TIMEOUT_S, storage_client
from siamese.stack.prefect_api import prefect_api
from siamese.store import ObjectStore

HEARTBEAT_WINDOW_S = 90
CRASH_AUTOMATION = "siamese: heartbeat stopped"
_PATIENCE_S = 120.0
_SEE_LOG = "`siamese status` names the server's log"
_RUN = "prefect.flow-run"
_ENDED = ("Completed", "Failed", "Cancelled", "Crashed")
_WAITING = ("Paused", "Suspended", "AwaitingRetry", "Rescheduled")


def make_buckets(settings: Settings, environment: Mapping[str, str]) -> None:
    """Makes the three buckets, versioned; nothing when they are there.

    Raises:
        SiameseError: Storage refuses.
    """
    client = storage_client(environment)
    try:
        there = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
        for name in (settings.raw_bucket, settings.lake_bucket, settings.maps_bucket):
            if name not in there:
                client.create_bucket(Bucket=name)
            if client.get_bucket_versioning(Bucket=name).get("Status") != "Enabled":
                client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    except (ClientError, BotoCoreError) as error:
        endpoint = environment["AWS_ENDPOINT_URL"]
        raise SiameseError(f"buckets cannot be made: {error}", where=endpoint, fix=_SEE_LOG) from error


def check_own_buckets(settings: Settings) -> None:
    """Makes sure that the user's own storage has the three buckets; it is theirs to make them.

    Raises:
        SiameseError: A bucket is missing, or storage does not answer.
    """
    client = ObjectStore(settings).client
    for name in (settings.raw_bucket, settings.lake_bucket, settings.maps_bucket):
        try:
            client.head_bucket(Bucket=name)
        except (ClientError, BotoCoreError) as error:
            fix = "make it, versioned, or name yours in SIAMESE_RAW_BUCKET, SIAMESE_LAKE_BUCKET, SIAMESE_MAPS_BUCKET; "
            fix += "without AWS settings in the environment, a local S3 server is used"
            raise SiameseError(f"not in your own storage: {error}", where=f"bucket {name}", fix=fix) from error


def make_pools(api: str, pools: Iterable[str], environment: Mapping[str, str]) -> None:
    """Makes work pools of type process, one after the other; nothing when they are there.

    Workers would make them, but two at once lock the server's SQLite file against each other.

    Args:
        api: Prefect API URL.
        pools: Their names.
        environment: The whole environment of a Prefect command.

    Raises:
        SiameseError: The Prefect server refuses.
    """
    try:
        with prefect_api(api, TIMEOUT_S * 4) as client:
            for pool in pools:
                if client.get(f"/work_pools/{pool}").status_code != httpx.codes.NOT_FOUND:
                    continue
                pool_of_processes = {"name": pool, "type": "process", "base_job_template": _job_template(environment)}
                client.post("/work_pools/", json=pool_of_processes).raise_for_status()
    except httpx.HTTPError as error:
        raise SiameseError(f"work pools cannot be made: {error}", where=api, fix=_SEE_LOG) from error


def crash_automation(window_s: float = HEARTBEAT_WINDOW_S) -> dict[str, Any]:
    """Marks a flow run as crashed when its heartbeat stopped ``window_s`` seconds ago and it has not ended.

    When worker and flow process are killed together, nobody else ever says so: the run would stay "running".
    """
    return {
        "name": CRASH_AUTOMATION,
        "description": f"Flow runs without a heartbeat for {window_s:.0f} s are CRASHED. Made by `siamese up`.",
        "enabled": True,
        "trigger": {
            "type": "event",
            "posture": "Proactive",
            "match": {"prefect.resource.id": f"{_RUN}.*"},
            "after": [f"{_RUN}.heartbeat"],
            "expect": [f"{_RUN}.{event}" for event in ("heartbeat", *_ENDED, *_WAITING)],
            "for_each": ["prefect.resource.id"],
            "threshold": 1,
            "within": window_s,
        },
        "actions": [
            {
                "type": "change-flow-run-state",
                "state": "CRASHED",
                "message": f"No heartbeat for {window_s:.0f} s: the process or its worker was killed.",
            }
        ],
    }


def make_automation(api: str, automation: dict[str, Any]) -> None:
    """Makes or mends an automation, known by its name; nothing when it is there as it should be.

    Raises:
        SiameseError: The Prefect server refuses.
    """
    try:
        with prefect_api(api, TIMEOUT_S * 4) as client:
            found = client.post("/automations/filter", json={"automations": {"name": {"any_": [automation["name"]]}}})
            found.raise_for_status()
            same_name = found.json()
            if same_name and _says(same_name[0], automation):
                return
            if same_name:
                client.put(f"/automations/{same_name[0]['id']}", json=automation).raise_for_status()
            else:
                client.post("/automations/", json=automation).raise_for_status()
    except httpx.HTTPError as error:
        raise SiameseError(f"automation cannot be made: {error}", where=api, fix=_SEE_LOG) from error


def _job_template(environment: Mapping[str, str]) -> dict[str, Any]:
    """The base job template of process workers, asked of a Prefect of its own.

    Prefect reads its settings when it is imported; in this process that would be before the stack's are known.
    """
    command = (sys.executable, "-m", "prefect", "work-pool", "get-default-base-job-template", "--type", "process")
    try:
        said = subprocess.run(  # noqa: S603
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE_S, check=True
        ).stdout
        template: dict[str, Any] = json.loads(said)
    except (subprocess.SubprocessError, ValueError) as error:
        raise SiameseError(f"tells no job template: {error}", where="prefect", fix="install prefect anew") from error
    return template


def _says(there: Any, wanted: Any) -> bool:  # noqa: ANN401
    """Whether a document from the server says all that is wanted; it may say more."""
    match wanted:
        case dict():
            return isinstance(there, dict) and all(_says(there.get(key), value) for key, value in wanted.items())
        case list():
            return isinstance(there, list) and (
                len(there) == len(wanted) and all(any(_says(one, want) for one in there) for want in wanted)
            )
        case _:
            return bool(there == wanted)
