"""The commands and pictures of docs/analyst.md exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from siamese.cli.app import app

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "analyst.md").read_text()
MOST_BYTES = 150_000


def commands() -> list[str]:
    """Every line of the page that a person may copy into a shell, comments left out."""
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith("siamese ")]


@pytest.mark.parametrize("line", commands())
def test_commands_parse(line: str) -> None:
    words = shlex.split(line, comments=True)
    command, context = get_command(app), None
    for _ in range(len(words)):  # each group takes one word
        context = command.make_context(words[0], words[1:], parent=context)
        if not isinstance(command, typer.core.TyperGroup):
            return
        name, found, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert found is not None
        command, words = found, [str(name), *rest]
    pytest.fail(f"{line}: names no command")


def test_every_step_of_the_hour_has_its_command() -> None:
    verbs = {line.split()[1] for line in commands()}
    assert {"sample", "map", "view", "adapt", "assess", "report", "export", "ingest", "pairs"} <= verbs


def test_pictures_are_there_and_small() -> None:
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", PAGE)
    assert len(pictures) >= 4
    for name in pictures:
        assert 1_000 < (DOCS / name).stat().st_size < MOST_BYTES, name
