"""``siamese up``, ``down`` and ``status``: the local stack."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from siamese.cli.common import Json, emit

if TYPE_CHECKING:
    from siamese.stack import StackStatus

Deploy = Annotated[
    bool | None,
    typer.Option(
        "--deploy/--no-deploy",
        help="Create the deployments of ./prefect.yaml, or skip them; without either, only if they have changed.",
        show_default=False,
    ),
]
_COLOURS = {"works": "green", "ill": "yellow", "dead": "red", "down": "dim"}


def up(deploy: Deploy = None, json: Json = False) -> None:
    """Start the local stack and wait until it works: S3, Prefect, MLflow, a worker each for the pools cpu and gpu.

    Everything listens on this machine only and is kept in one folder (.siamese, or $SIAMESE_HOME): data, logs and the
    credentials created at the first start. Other verbs find it there automatically. Running `up` again only restarts
    services that have died. The first time, it publishes ./params.yaml for the flows; later,
    `siamese params --publish` does. With AWS settings of your own, no S3 server is started and yours is used.
    """
    from siamese import stack
    from siamese.cli.params import publish_first
    from siamese.store import open_context

    began = time.monotonic()
    healthy = stack.up(deploying=deploy)
    publish_first(open_context().store)
    seen = stack.status()
    started = [service.name for service in healthy if service.started]
    told = f"started {', '.join(started)}" if started else "ran already; nothing was started"
    summary = {"started": started, "seconds": round(time.monotonic() - began, 1)}
    text = Group(_table(seen), _way_in(seen), Text(f"{told} ({summary['seconds']} s)"), *_troubles(seen))
    emit(summary | seen.model_dump(mode="json"), text, as_json=json)


def down(json: Json = False) -> None:
    """End every process of the local stack, flow runs first; the data stays for the next `siamese up`."""
    from siamese import stack

    ended = stack.down()
    text = f"ended {ended} processes; the data stays" if ended else "nothing ran"
    emit({"ended": ended}, text, as_json=json)


def status(json: Json = False) -> None:
    """Show what runs in the local stack, where its web pages are, and which flow runs crashed or hang.

    The exit code is 1 unless every service works and no run crashed or hangs. A crashed run counts until a later run of
    the same deployment has completed, but for a week at most.
    """
    from siamese import stack

    seen = stack.status()
    emit(seen, Group(_table(seen), _way_in(seen), *_places(seen), *_troubles(seen)), as_json=json)
    if not seen.works:
        raise typer.Exit(1)


def _table(seen: StackStatus) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("service", "state", "where", "pid", "MiB"):
        table.add_column(heading, justify="right" if heading in ("pid", "MiB") else "left", no_wrap=True)
    for service in seen.services:
        state = Text(service.state, style=_COLOURS[service.state])
        pid = str(service.pid or "")
        table.add_row(service.name, state, service.page or "", pid, str(service.memory_mib) if service.pid else "")
    return table


def _way_in(seen: StackStatus) -> Text:
    if not seen.login.is_file():
        return Text("")
    return Text(
        f"log in with what `cat {seen.login}` prints: MLflow asks for user and password, which stand before and after "
        "the colon; Prefect asks for the whole line",
    )


def _places(seen: StackStatus) -> list[RenderableType]:
    storage = seen.storage
    at = f" at {storage.endpoint}, key {storage.access_key}" if storage.endpoint else ""
    return [
        Text(f"storage settings: {storage.source}{at}; buckets {', '.join(storage.buckets)}"),
        *([Text(_maps(seen.maps, seen.older_maps or 0))] if seen.maps else []),
        *(Text(f"champion {name} was made by an earlier version of its stage") for name in seen.older_champions or ()),
        Text(f"folder: {seen.home} ({seen.disk_free_gib} GiB free); memory {seen.memory_mib} MiB"),
    ]


def _maps(count: int, older: int) -> str:
    told = f"current maps: {count}"
    if older:
        told += (
            f", of them {older} by an earlier version of a stage; they stay in use (runs.redo_older makes them again)"
        )
    return told


def _duration(seconds: float) -> str:
    minutes = int(seconds) // 60
    if minutes < 1:
        return f"{int(seconds)} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"


def _troubles(seen: StackStatus) -> list[RenderableType]:
    lines: list[RenderableType] = [Text(trouble, style="yellow") for trouble in seen.troubles]
    for run in seen.runs:
        lasting = _duration(run.seconds)
        what = f"has been {run.state} for {lasting} and hangs" if run.kind == "hangs" else f"crashed {lasting} ago"
        line = f"run {run.name} of {run.deployment or 'no deployment'} {what}"
        lines.append(Text(f"{line}: {run.message}" if run.message else line, style="red"))
    for service in seen.services:
        if service.trouble:
            lines.append(Text(f"{service.name}: {service.trouble}", style="red"))
            lines.append(Text(f"  last lines of {service.log}:"))
            lines.extend(Text(f"    {line}", style="dim") for line in service.last_lines)
    return lines
