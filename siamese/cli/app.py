"""The ``siamese`` command: its verbs and the reporting of failures."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import typer
from rich.console import Console

from siamese.allocator import restart_with_allocator
from siamese.cli.adaptation import adapt, assess, select
from siamese.cli.demo import demo
from siamese.cli.duplicates import duplicates
from siamese.cli.evaluate import evaluate
from siamese.cli.ingest import ingest
from siamese.cli.map import map as map_verb
from siamese.cli.pairs import pairs
from siamese.cli.params import params
from siamese.cli.pretrain import pretrain
from siamese.cli.quantize import quantize
from siamese.cli.registry import history, promote, register, rollback
from siamese.cli.report import export, report
from siamese.cli.sample import sample
from siamese.cli.score import score
from siamese.cli.similarity import similarity_app
from siamese.cli.stack import down, status, up
from siamese.cli.stages import stages
from siamese.cli.train import train
from siamese.cli.upload import upload
from siamese.errors import SiameseError
from siamese.progress import log_to_stderr
from siamese.store import open_context

app = typer.Typer(
    name="siamese",
    help="Building damage maps from satellite pairs. The chain: up, upload, ingest, pairs, train, evaluate, register, "
    "promote, map. `siamese VERB --help` explains each.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

PANELS: dict[str, tuple[Callable[..., None], ...]] = {
    "First look": (demo, sample),
    "Local stack": (up, down, status),
    "The chain": (upload, ingest, pairs, train, evaluate, map_verb),
    "A map and a person's labels": (select, adapt, assess),
    "Handing a map on": (report, export),
    "Which model is champion": (register, promote, rollback, history),
    "Beside the chain": (duplicates, pretrain, quantize, score, params, stages),
}

NETWORK_VERBS = {"pretrain", "train", "quantize", "evaluate", "map", "similarity"}
"""Verbs that run a network, and so want its allocator from the start of the process."""

for panel, verbs in PANELS.items():
    for verb in verbs:
        app.command(rich_help_panel=panel)(verb)
app.add_typer(similarity_app, rich_help_panel="Similarity")


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    from siamese.store.provenance import git_revision
    from siamese.versions import library_versions, software_version

    typer.echo(f"siamese {software_version()}, revision {git_revision()}")
    for name, number in library_versions().items():
        typer.echo(f"  {name} {number}")
    raise typer.Exit


@app.callback()
def _root(
    debug: bool = typer.Option(False, "--debug", help="Show a traceback when something fails."),
    version: bool = typer.Option(
        False,
        "--version",
        callback=_print_version,
        is_eager=True,
        help="Print the version, the code's revision, and the libraries that decide results.",
    ),
) -> None:
    open_context().export()
    log_to_stderr()


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line; failures print one line to stderr and exit with 1. ``--debug`` may come anywhere."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if arguments is None and NETWORK_VERBS & set(words[:2]):
        restart_with_allocator()
    debug = "--debug" in words
    words = ["--debug"] * debug + [word for word in words if word != "--debug"]
    try:
        app(words)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if debug:
            raise
        told = str(error)
        if not isinstance(error, SiameseError):
            told = f"unexpected {type(error).__name__}: {error} — run it again with --debug and report what it prints"
        Console(stderr=True).print(f"siamese: {told}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)
