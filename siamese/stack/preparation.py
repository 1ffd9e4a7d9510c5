"""What the servers need before work can begin: versioned buckets, and an automation that notices killed flow runs."""

from __future__ import annotations

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


def make_pools(pools: Iterable[str], environment: Mapping[str, str]) -> None:
    """Makes or mends work pools of type process, one after the other; nothing when they are as they should be.

    Workers would make them, but two at once lock the server's SQLite file against each other.

    Args:
        pools: Their names.
        environment: With the address and login of the Prefect API.

    Raises:
        SiameseError: The Prefect server refuses.
    """
    try:
        with prefect_api(environment, TIMEOUT_S * 4) as client:
            for pool in pools:
                there = client.get(f"/work_pools/{pool}")
                if there.status_code == httpx.codes.NOT_FOUND:
                    wanted = {"name": pool, "type": "process", "base_job_template": job_template()}
                    client.post("/work_pools/", json=wanted).raise_for_status()
                elif there.raise_for_status().json()["base_job_template"] != job_template():
                    changed = {"base_job_template": job_template()}
                    client.patch(f"/work_pools/{pool}", json=changed).raise_for_status()
    except httpx.HTTPError as error:
        where = environment["PREFECT_API_URL"]
        raise SiameseError(f"work pools cannot be made: {error}", where=where, fix=_SEE_LOG) from error


def job_template() -> dict[str, Any]:
    """How workers start the process of a flow run: always the same way.

    Prefect's own template lets each run name a command, a folder and an environment for its process, which the worker
    would then use as its owner, with the owner's credentials. Here a run may name none of them.
    """
    return {
        "job_configuration": {"stream_output": True},
        "variables": {"type": "object", "properties": {}, "additionalProperties": False},
    }


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


def make_automation(automation: dict[str, Any], environment: Mapping[str, str]) -> None:
    """Makes or mends an automation, known by its name; nothing when it is there as it should be.

    Raises:
        SiameseError: The Prefect server refuses.
    """
    try:
        with prefect_api(environment, TIMEOUT_S * 4) as client:
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
        where = environment["PREFECT_API_URL"]
        raise SiameseError(f"automation cannot be made: {error}", where=where, fix=_SEE_LOG) from error


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
