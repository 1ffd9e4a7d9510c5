"""Helpers shared by all command-line verbs: common options, output, and checks of local imagery."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from rich.console import Console, RenderableType

from siamese.errors import SiameseError
from siamese.params import PARAMS_FILE

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout instead of text.")]
JsonFile = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the result as JSON to FILE; - prints it.")
]
ParamsFile = Annotated[Path, typer.Option("--params", help="The params file.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override one param; repeat for more.")
]
Out = Annotated[Path | None, typer.Option("--out", help="Also write the manifest to this local file.")]

DEFAULT_PARAMS = PARAMS_FILE
ARCHIVE = re.compile(
    r".+\.(zip|tar|tgz|tbz2?|txz|7z|rar|gz|bz2|xz|zst)([._-](part[._-]?)?(\d{1,5}|[a-z]{2}))?", re.IGNORECASE
)


def emit(value: BaseModel | dict[str, Any], text: RenderableType, *, as_json: bool) -> None:
    """Prints a verb's result as text for people, or as one JSON object."""
    if as_json:
        typer.echo(dump(value))
    elif isinstance(text, str):
        # Paths stay whole where a terminal or a log is narrow, and brackets in names are no markup.
        typer.echo(text)
    else:
        Console().print(text)


def dump(value: BaseModel | dict[str, Any]) -> str:
    """Returns a result as the text of one JSON object."""
    import json

    return value.model_dump_json(indent=1) if isinstance(value, BaseModel) else json.dumps(value, indent=1)


def write_json(value: BaseModel | dict[str, Any], path: Path | None) -> None:
    """Writes a result as JSON to a file, or to stdout for ``-``; does nothing for None."""
    if path is None:
        return
    if str(path) == "-":
        typer.echo(dump(value))
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dump(value) + "\n")


def check_out(folder: Path, option: str = "--out") -> None:
    """Refuses a folder for results that cannot be written to, before any work is done; it is made if it is missing.

    Args:
        folder: The folder.
        option: The option that it was given by, for messages.

    Raises:
        SiameseError: It is a file, or nothing can be written there.
    """
    fix = "name a folder that you may write to"
    if folder.exists() and not folder.is_dir():
        raise SiameseError("is not a folder", where=f"{option} {folder}", fix=fix)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        what = f"cannot be written to: {(error.strerror or 'it is refused').lower()}"
        raise SiameseError(what, where=f"{option} {folder}", fix=fix) from error


def check_handover(folder: Path) -> None:
    """Refuses a folder that a map's files cannot be copied to, before any work is done.

    Raises:
        SiameseError: Nothing can be written there, or it holds a page of ``siamese view``, whose files have the
            same names.
    """
    from siamese.viewing.folders import is_page

    check_out(folder)
    if is_page(folder):
        fix = "name another folder, so that the page stays whole"
        raise SiameseError("holds a page of `siamese view`", where=f"--out {folder}", fix=fix)


def check_images(given: Sequence[str], date: str) -> None:
    """Rejects local imagery that is missing or is an archive, before anything heavy is loaded.

    Args:
        given: Files, folders, globs or addresses; the last two are checked later.
        date: ``pre`` or ``post``, for messages.

    Raises:
        SiameseError: A file or folder is missing, or a file is an archive.
    """
    for one in given:
        if ARCHIVE.fullmatch(one):
            fix = "unpack it and name the folder of its images; scenes in archives are read by `siamese ingest`"
            raise SiameseError("is an archive, not an image", where=f"--{date} {one}", fix=fix)
        if (
            not one.startswith(("s3://", "https://", "http://"))
            and not any(mark in one for mark in "*?[")
            and not Path(one).exists()
        ):
            raise SiameseError("there is no such file or folder", where=one, fix="check the path")
