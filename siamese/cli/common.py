"""What all verbs of the command line share: options, output, references to manifests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic import BaseModel, ValidationError
from rich.console import Console, RenderableType

from siamese.errors import SiameseError
from siamese.params import PARAMS_FILE
from siamese.store import Manifest, ObjectStore

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

M = TypeVar("M", bound=Manifest)


def emit(value: BaseModel | dict[str, Any], text: RenderableType, *, as_json: bool) -> None:
    """Prints a verb's result: for people, or as one JSON object."""
    if as_json:
        typer.echo(dump(value))
    else:
        Console().print(text)


def dump(value: BaseModel | dict[str, Any]) -> str:
    """One JSON object as text."""
    import json

    return value.model_dump_json(indent=1) if isinstance(value, BaseModel) else json.dumps(value, indent=1)


def write_json(value: BaseModel | dict[str, Any], path: Path | None) -> None:
    """Writes a result to a file, or to stdout for ``-``; nothing for None."""
    if path is None:
        return
    if str(path) == "-":
        typer.echo(dump(value))
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dump(value) + "\n")


def resolve(kind: type[M], reference: str, store: ObjectStore) -> M:
    """Finds a manifest by what a person typed.

    Args:
        kind: Which noun.
        reference: ``latest``, a digest, an s3:// address, or a local file that a verb wrote with ``--out``.
        store: Where manifests lie.

    Raises:
        SiameseError: There is no such manifest.
    """
    if reference == "latest":
        return kind.latest(store)
    path = Path(reference)
    if not reference.startswith("s3://") and path.is_file():
        try:
            return kind.load(store, kind.model_validate_json(path.read_bytes()).digest)
        except ValidationError as error:
            raise SiameseError(f"not a {kind.kind} manifest", where=reference, fix="pass what --out wrote") from error
    return kind.load(store, reference)
