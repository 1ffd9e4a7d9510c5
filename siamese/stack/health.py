"""Health checks: whether each service answers as its clients need, not merely whether its process runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import boto3
import httpx
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from siamese.errors import SiameseError
from siamese.servers import Answer, prefect_server
from siamese.stack.prefect_api import login
from siamese.store import S3Uri
from siamese.store.faults import translated

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TIMEOUT_S = 5.0
_CLIENT = Config(
    connect_timeout=TIMEOUT_S,
    read_timeout=TIMEOUT_S,
    retries={"mode": "standard", "total_max_attempts": 1},
    s3={"addressing_style": "path"},
)


def storage_client(environment: Mapping[str, str]) -> S3Client:
    """Returns a client for the S3 server that an environment with explicit AWS settings points to."""
    session = boto3.session.Session(
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_DEFAULT_REGION"],
    )
    return session.client("s3", endpoint_url=environment["AWS_ENDPOINT_URL"], config=_CLIENT)


def storage_fault(environment: Mapping[str, str]) -> str | None:
    """Describes what is wrong with the S3 server; None when it answers a signed list request."""
    try:
        storage_client(environment).list_buckets()
    except (ClientError, BotoCoreError) as error:
        return f"no answer to a signed list: {translated(error, S3Uri('')).what}"
    return None


def page_fault(url: str) -> str | None:
    """Describes what is wrong with a server; None when its health page answers with status 200."""
    try:
        status = httpx.get(url, timeout=TIMEOUT_S, trust_env=False).status_code
    except httpx.HTTPError as error:
        return f"no answer at {url}: {error}"
    return None if status == httpx.codes.OK else f"{url} answers {status}"


def prefect_fault(error: httpx.HTTPStatusError, environment: Mapping[str, str]) -> SiameseError | None:
    """Interprets an HTTP error of the Prefect server: a rejected login, another program's page, or a busy server."""
    login_set, key_set = (bool(environment.get(f"PREFECT_API_{name}")) for name in ("AUTH_STRING", "KEY"))
    server = prefect_server(environment["PREFECT_API_URL"], auth_string=login_set, api_key=key_set)
    said = error.response
    media_type = said.headers.get("Content-Type", "")
    return server.fault(Answer(said.status_code, str(said.url), media_type, said.text))


def worker_fault(environment: Mapping[str, str], pool: str, name: str, created: float) -> str | None:
    """Describes what is wrong with a worker; None when Prefect has heard from it since its process was created.

    Args:
        environment: Holds the address and login of the Prefect API.
        pool: Name of the work pool.
        name: Name of the worker.
        created: Creation time of its process, in seconds since 1970.
    """
    try:
        answer = httpx.post(
            f"{environment['PREFECT_API_URL']}/work_pools/{pool}/workers/filter",
            json={},
            auth=login(environment),
            timeout=TIMEOUT_S,
            trust_env=False,
        )
        answer.raise_for_status()
        heard = [worker for worker in answer.json() if worker["name"] == name]
    except httpx.HTTPStatusError as error:
        fault = prefect_fault(error, environment)
        return f"not known to the Prefect server: {fault.what if fault else error}"
    except httpx.HTTPError as error:
        return f"not known to the Prefect server: {error}"
    if not heard or heard[0]["status"] != "ONLINE":
        return "not online in the Prefect server"
    last = datetime.fromisoformat(heard[0]["last_heartbeat_time"])
    return None if last.timestamp() >= created else "not heard by the Prefect server since it was started"
