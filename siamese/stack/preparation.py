"""Prepares the servers before work can begin: versioned buckets and work pools."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from siamese.errors import SiameseError
from siamese.settings import Settings
from siamese.stack.health import TIMEOUT_S, storage_client
from siamese.stack.prefect_api import prefect_api
from siamese.store import ObjectStore, S3Uri

CRASH_AUTOMATION = "siamese: heartbeat stopped"
"""Made by earlier versions: it took runs for crashed that lived while the Prefect server was away."""
OUTPUT_VARIABLE = "SIAMESE_RUN_OUTPUT"
"""Of workers: the file that flow runs write their output to."""
_ENGINE = f"""
import os, sys
os.setsid()
output = os.open(os.environ.get("{OUTPUT_VARIABLE}", os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
os.dup2(output, 1)
os.dup2(output, 2)
os.execv(sys.executable, [sys.executable, "-m", "prefect.engine"])
"""
"""Starts the engine of a flow run so that its worker may die: in a session of its own, and with its output in a file;
piped through the worker, it would end of a broken pipe.
"""
_SEE_LOG = "`siamese status` names the server's log"


def make_buckets(settings: Settings, environment: Mapping[str, str]) -> None:
    """Creates the three buckets, with versioning, unless they exist.

    Raises:
        SiameseError: Storage refuses the request.
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
    """Checks that the user's own storage has the three buckets; creating them is left to the user.

    Raises:
        SiameseError: A bucket is missing, or storage does not answer or does not support conditional writes.
    """
    store = ObjectStore(settings)
    for name in (settings.raw_bucket, settings.lake_bucket, settings.maps_bucket):
        try:
            store.check_bucket(S3Uri(name))
        except SiameseError as error:
            fix = f"{error.fix}; SIAMESE_RAW_BUCKET, SIAMESE_LAKE_BUCKET and SIAMESE_MAPS_BUCKET name other buckets; "
            fix += "without AWS settings in the environment, a local S3 server is used"
            raise SiameseError(f"not in your own storage: {error.what}", where=f"bucket {name}", fix=fix) from error
    store.conditional_writes.check(settings.lake_bucket)


def make_pools(pools: Iterable[str], environment: Mapping[str, str]) -> None:
    """Creates or repairs work pools of type ``process``, one after the other; leaves correct ones unchanged.

    Workers could create them, but two that do so at once block each other on the server's SQLite file.

    Args:
        pools: Names of the work pools.
        environment: Holds the address and login of the Prefect API.

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
    """Returns the job template by which workers start every flow run in the same way.

    Prefect's own template lets each run choose the command, folder and environment of its process, which the worker
    would then start as its own user, with that user's credentials. With this template a run can choose none of them.
    """
    return {
        "job_configuration": {"command": shlex.join([sys.executable, "-c", _ENGINE]), "stream_output": False},
        "variables": {"type": "object", "properties": {}, "additionalProperties": False},
    }


def remove_automation(name: str, environment: Mapping[str, str]) -> None:
    """Removes an automation that an earlier version created, if there is one.

    Raises:
        SiameseError: The Prefect server refuses.
    """
    try:
        with prefect_api(environment, TIMEOUT_S * 4) as client:
            found = client.post("/automations/filter", json={"automations": {"name": {"any_": [name]}}})
            for automation in found.raise_for_status().json():
                client.delete(f"/automations/{automation['id']}").raise_for_status()
    except httpx.HTTPError as error:
        where = environment["PREFECT_API_URL"]
        raise SiameseError(f"automation cannot be removed: {error}", where=where, fix=_SEE_LOG) from error
