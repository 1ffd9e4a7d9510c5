"""``siamese params``: what can be tuned, what it is set to, and what it means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.table import Table

from siamese.cli.common import DEFAULT_PARAMS, Json, Overrides, ParamsFile, emit
from siamese.params import Params, load_params


def params(
    file: ParamsFile = DEFAULT_PARAMS,
    overrides: Overrides = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of params.yaml.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print docs/params.md.")] = False,
    json: Json = False,
) -> None:
    """Shows every param: its value, where that differs from the default, and what it means.

    A key of params.yaml that is unknown or mistyped is an error that names it.
    """
    if schema:
        emit(Params.model_json_schema(), "", as_json=True)
        return
    if markdown:
        typer.echo("\n".join(page()))
        return
    values = load_params(file, overrides or ())
    table = Table("param", "value", "default", "meaning", title=str(file))
    for key, value, default, meaning in rows(values):
        table.add_row(key, _shown(value), "" if value == default else _shown(default), meaning)
    emit(values, table, as_json=json)


def rows(values: Params) -> Iterator[tuple[str, Any, Any, str]]:
    """Every param as key, value, default and meaning."""
    defaults = Params()
    for section_name in Params.model_fields:
        section, default = getattr(values, section_name), getattr(defaults, section_name)
        for name, field in type(section).model_fields.items():
            key = f"{section_name}.{name}"
            yield key, getattr(section, name), getattr(default, name), field.description or ""


def page() -> Iterator[str]:
    """docs/params.md, line by line: every param with its default and meaning."""
    yield "# Params"
    yield ""
    yield "`params.yaml` is the only place of tunables. A key left out has the default below; an unknown or mistyped"
    yield "key is an error that names it. `--set section.key=value` overrides one for one command. This page is written"
    yield "by `siamese params --markdown > docs/params.md`."
    section = ""
    for key, _, default, meaning in rows(Params()):
        if key.split(".")[0] != section:
            section = key.split(".")[0]
            yield from ("", f"## {section}", "", type(getattr(Params(), section)).__doc__ or "", "")
            yield from ("| param | default | meaning |", "|---|---|---|")
        yield f"| `{key}` | `{_shown(default)}` | {meaning} |"


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
