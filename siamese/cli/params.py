"""``siamese params``: shows, checks and publishes the params."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from siamese.cli.common import DEFAULT_PARAMS, Json, Overrides, ParamsFile, emit
from siamese.errors import SiameseError
from siamese.params import PARAMS_FILE, Params, load_params, parse_params
from siamese.store import ObjectStore


def params(
    file: ParamsFile = DEFAULT_PARAMS,
    overrides: Overrides = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of params.yaml.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print docs/params.md.")] = False,
    publish: Annotated[
        bool, typer.Option("--publish", help="Publish this file as the one that flows use, on every worker.")
    ] = False,
    published: Annotated[
        bool, typer.Option("--published", help="Show the params that flows use instead of those of the file.")
    ] = False,
    json: Json = False,
) -> None:
    """Show every param: its value, whether that differs from the default, and what it means.

    An unknown or mistyped key in params.yaml is an error that names the key.

    Flows use the params that were published last, not the file in the folder that they run in: experiment with the
    file or with --set, and publish the file once production should use it. `siamese up` publishes it the first time.
    """
    if schema:
        emit(Params.model_json_schema(), "", as_json=True)
        return
    if markdown:
        typer.echo("\n".join(page()))
        return
    if publish:
        _publish(file, overrides, as_json=json)
        return
    values, title = load_params(file, overrides or ()), str(file)
    if published:
        values, title = _published(overrides)
    table = Table("param", "value", "default", "meaning", title=title)
    for key, value, default, meaning in rows(values):
        table.add_row(key, _shown(value), "" if value == default else _shown(default), meaning)
    emit(values, table, as_json=json)


def publish_first(store: ObjectStore) -> None:
    """Publishes ./params.yaml for flows, if there is one and none has been published yet."""
    from siamese.runs import publish_params

    if PARAMS_FILE.is_file():
        publish_params(PARAMS_FILE, store, unless_published=True)


def _publish(file: Path, overrides: list[str] | None, *, as_json: bool) -> None:
    from siamese.runs import publish_params

    if overrides:
        raise SiameseError("cannot be published", where="--set", fix=f"write it to {file}, then publish the file")
    made = publish_params(file, ObjectStore())
    emit(made, f"flows take {file} from now on: {made}", as_json=as_json)


def _published(overrides: list[str] | None) -> tuple[Params, str]:
    from siamese.runs import published_params

    store = ObjectStore()
    found = published_params(store)
    if found is None:
        fix = "run `siamese params --publish`; until then flows take their worker's params.yaml"
        raise SiameseError("no params have been published", where=str(store.lake), fix=fix)
    return parse_params(found.file.read(store), found.file.uri, overrides or ()), str(found)


def rows(values: Params) -> Iterator[tuple[str, Any, Any, str]]:
    """Yields every param as key, value, default and meaning."""
    defaults = Params()
    for section_name in Params.model_fields:
        section, default = getattr(values, section_name), getattr(defaults, section_name)
        for name, field in type(section).model_fields.items():
            key = f"{section_name}.{name}"
            yield key, getattr(section, name), getattr(default, name), field.description or ""


def page() -> Iterator[str]:
    """Yields docs/params.md line by line: every param with its default and meaning."""
    yield "# Params"
    yield ""
    yield "`params.yaml` is the only place of tunables. A key left out has the default below; an unknown or mistyped"
    yield "key is an error that names it. `--set section.key=value` overrides one for one command. This page is written"
    yield "by `siamese params --markdown > docs/params.md`. Flows take what `siamese params --publish` published."
    section = ""
    for key, _, default, meaning in rows(Params()):
        if key.split(".")[0] != section:
            section = key.split(".")[0]
            yield from ("", f"## {section}", "", type(getattr(Params(), section)).__doc__ or "", "")
            yield from ("| param | default | meaning |", "|---|---|---|")
        yield f"| `{key}` | `{_shown(default)}` | {meaning} |"


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
