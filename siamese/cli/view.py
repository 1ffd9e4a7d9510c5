"""``siamese view``: opens a map in a browser, or writes its page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from siamese.cli.adaptation import Author, Index, Map
from siamese.cli.common import DEFAULT_PARAMS, Json, Overrides, ParamsFile, check_out, emit
from siamese.errors import SiameseError

if TYPE_CHECKING:
    from siamese.manifests import DamageMap, EmbeddingIndex
    from siamese.store import ObjectStore
    from siamese.viewing.verb import ViewParams

_LARGEST_FILE_MB = 64


def view(
    where: Map,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write the page to this folder, which any web server or bucket can serve."),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the page as one HTML file that opens by a double click; small maps."),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine; 0 takes a free one.")] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
    imagery: Annotated[bool, typer.Option("--imagery/--no-imagery", help="Show the images of both dates.")] = True,
    teach: Annotated[
        bool,
        typer.Option(
            "--teach/--no-teach",
            help="The page can learn from labels; the map's network makes the vectors for it if nobody has them yet.",
        ),
    ] = True,
    author: Author = None,
    index: Index = None,
    as_json: Json = False,
    params_file: ParamsFile = DEFAULT_PARAMS,
    overrides: Overrides = None,
) -> None:
    """Look at a map in a browser: before and after, every building with its reasons; teach it, and assess it.

    Without --out or --html, the page is served on this machine alone until Ctrl-C, and labels can be kept on the
    bucket. It needs no internet. The page is made once for a map and kept in the cache; imagery becomes PMTiles.

    With --out, the same page is a folder for a bucket's static site or any web server that serves byte ranges; with
    --html, one file. Labels are then saved as a file, for `siamese adapt` and `siamese assess`.
    """
    from siamese.adaptation.lineage import find_map
    from siamese.params import load_params
    from siamese.store import ObjectStore

    if out is not None and html is not None:
        raise SiameseError("both --out and --html were given", where="siamese view", fix="run it once for each")
    if out is not None:
        from siamese.viewing.folders import check_folder

        check_folder(out)
        check_out(out)
    if html is not None:
        if html.is_dir():
            raise SiameseError("is a folder", where=f"--html {html}", fix="name a file, or give the folder as --out")
        check_out(html.parent, "--html")
    store, params = ObjectStore(), load_params(params_file, overrides or ())
    made = find_map(where, store)
    # Imported last, as this takes seconds: unknown names are reported at once.
    from siamese.viewing.verb import ViewParams, kept_view, write_view

    wanted = ViewParams(params.adaptation, params.embedding, imagery=imagery, teach=teach)
    given = _index(index, store)
    if out is not None:
        write_view(made, out, wanted, store, index=given)
        emit({"map": made.digest, "folder": str(out)}, f"{made.event}: {out}/index.html", as_json=as_json)
        return
    folder = kept_view(made, wanted, store, index=given)
    if html is not None:
        from siamese.viewing.onefile import write_one_file

        size = write_one_file(folder, html)
        if size > _LARGEST_FILE_MB * 2**20:
            typer.echo(f"{html} has {size / 2**20:.0f} MB; browsers open it slowly. --out writes a folder", err=True)
        emit({"map": made.digest, "file": str(html), "bytes": size}, f"{made.event}: {html}", as_json=as_json)
        return
    _serve(made, folder, wanted, store, author, port, browser=browser)


def _serve(
    made: DamageMap,
    folder: Path,
    params: ViewParams,
    store: ObjectStore,
    author: str | None,
    port: int,
    *,
    browser: bool,
) -> None:
    from siamese.cli.adaptation import login
    from siamese.viewing.labels import PageLabels
    from siamese.viewing.serving import Served, serve

    def ready(address: str) -> None:
        typer.echo(f"{made.event}: {address}  (Ctrl-C ends it)")
        if browser:
            import webbrowser

            webbrowser.open(address)

    serve(Served(folder, PageLabels(made, params.adaptation, store, author or login())), port, ready)


def _index(reference: str | None, store: ObjectStore) -> EmbeddingIndex | None:
    from siamese.manifests import EmbeddingIndex

    return None if reference is None else EmbeddingIndex.resolve(store, reference)
