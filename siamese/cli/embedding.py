"""``siamese similarity embed``, ``search`` and ``tag``: vectors of buildings and images, and what is like them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from siamese.cli.common import DEFAULT_PARAMS, Json, Overrides, ParamsFile, dump, emit, write_json
from siamese.errors import SiameseError

if TYPE_CHECKING:
    from siamese.embedding.search import Hit
    from siamese.manifests import EmbeddingIndex
    from siamese.params import Params
    from siamese.store import ObjectStore

_WHAT = (
    "An event, whose current map is meant; a map, pair set or catalog by digest, s3:// address or manifest file; "
    "pairs:latest; catalog:latest; or a folder of images."
)
Encoder = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="map (the damage network that made the map), a timm name, similarity:latest, similarity:DIGEST or "
        "models:/NAME@ALIAS; by default `embedding.encoder` of the params.",
    ),
]
Model = Annotated[
    str | None, typer.Option(metavar="URI", help="The damage network, for a pair set; see `siamese map --model`.")
]
_Name = "A letter, then letters, digits and underscores."


def embed(
    what: Annotated[str, typer.Argument(metavar="WHAT", help=_WHAT)],
    encoder: Encoder = None,
    model: Model = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write the vectors to FILE.parquet, with columns id (path for a folder) and vector; to a file of "
            "another name, the manifest.",
        ),
    ] = None,
    as_json: Json = False,
    params_file: ParamsFile = DEFAULT_PARAMS,
    overrides: Overrides = None,
) -> None:
    """Give each building of a map, each image, or each labelled building of a pair set a vector.

    The buildings of a map get features of the map's own network, pooled inside their outlines: of the image before, of
    the image after, of both fused, and of the decoder. Other encoders see a chip with some ground around it. The index
    is kept on the bucket; what was embedded once is only read.
    """
    store, params = _opened(params_file, overrides, encoder)
    from siamese.embedding.references import find_source

    index = _embedded(find_source(what, store), params, store, model)
    if out is not None and out.suffix.lower() == ".parquet":
        _write_table(index, out, store)
    else:
        write_json(index, out)
    emit(index, _told(index), as_json=as_json)


def search(
    query: Annotated[str, typer.Argument(help="The id of a vector, an image file, or a vector as JSON or .npy.")],
    among: Annotated[str, typer.Option("--in", metavar="WHAT", help=f"Where to search. {_WHAT}")],
    k: Annotated[int, typer.Option("-k", help="How many to find.")] = 20,
    part: Annotated[
        str | None, typer.Option(help="Compare only this part of the vectors, e.g. post/8; `embed` lists them.")
    ] = None,
    geojson: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the found buildings of a map as GeoJSON.")
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a sheet of pictures (PNG): the query, then the answers.")
    ] = None,
    encoder: Encoder = None,
    model: Model = None,
    as_json: Json = False,
    params_file: ParamsFile = DEFAULT_PARAMS,
    overrides: Overrides = None,
) -> None:
    """Find what is most like a building, an image or a vector.

    The vectors are made first if nobody has. Small indexes are searched exactly; for large ones, cells to search by are
    made once and kept on the bucket.
    """
    store, params = _opened(params_file, overrides, encoder)
    if k < 1:
        raise SiameseError(f"{k} answers were asked for", where="-k", fix="ask for 1 or more")
    from siamese.embedding.asking import answer_geojson, draw_answer, image_vector, source_of, understand
    from siamese.embedding.references import find_source
    from siamese.embedding.search import open_searcher
    from siamese.manifests import DamageMap, EmbeddingIndex
    from siamese.progress import LOGGER

    source: object = find_source(among, store)
    index = source if isinstance(source, EmbeddingIndex) else _embedded(source, params, store, model)
    source = source_of(index, store) if isinstance(source, EmbeddingIndex) else source
    if geojson is not None and not isinstance(source, DamageMap):
        raise SiameseError("only the buildings of a map have a place", where="--geojson", fix="leave it out")
    if not index.count:
        raise SiameseError("has no vectors to search", where=f"index of {index.source}", fix="search another map")
    searcher = open_searcher(index, params.search, store, part)
    question = understand(query, index, searcher.ids)
    if question.kind == "image" and part is None and "post" in index.parts:
        searcher = open_searcher(index, params.search, store, "post")
    if question.kind == "id":
        hits = searcher.like(query, k)
    else:
        vector = question.vector
        if vector is None:
            vector = image_vector(question, index, params.embedding, store)
        hits = searcher.search(vector, k)
    if len(hits) < k:
        LOGGER.info(f"{len(hits)} answers instead of {k}: the index has no more")
    if geojson is not None and isinstance(source, DamageMap):
        write_json(answer_geojson(source, hits, store, f"like {query}"), geojson)
    if sheet is not None:
        sheet.parent.mkdir(parents=True, exist_ok=True)
        sheet.write_bytes(draw_answer(question, hits, searcher, source, store))
    rows = _rows(hits)
    if as_json:
        typer.echo(dump({"query": query, "index": index.digest, "exact": searcher.exact, "hits": rows}))
        return
    _print_table(rows, query, exact=searcher.exact)


def tag(
    where: Annotated[str, typer.Argument(metavar="MAP", help="An event, or a map's digest, address or manifest file.")],
    examples: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Buildings that show the class: a CSV with the column id (label: 1, or 0 for a counter-example), or "
            "a GeoJSON of buildings, or of points on them.",
        ),
    ],
    name: Annotated[str, typer.Option(metavar="NAME", help=f"Of the class and its column. {_Name}")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="GeoParquet: the map's buildings with the score.")],
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a sheet of pictures (PNG) of the best.")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="How many of the best to print.")] = 20,
    encoder: Encoder = None,
    as_json: Json = False,
    params_file: ParamsFile = DEFAULT_PARAMS,
    overrides: Overrides = None,
) -> None:
    """Add a class that nobody trained to a map, from a handful of examples: a score for each building.

    For instance blue tarpaulins or flooded yards: name some buildings that show it, and some that do not if there are
    lookalikes. No network is trained; it takes seconds.
    """
    store, params = _opened(params_file, overrides, encoder)
    from siamese.embedding.examples import read_examples, tag_buildings, write_tagged
    from siamese.embedding.references import find_source
    from siamese.manifests import DamageMap

    named = read_examples(examples)
    made = find_source(where, store)
    if not isinstance(made, DamageMap):
        raise SiameseError("is no map", where=where, fix="name an event or a map")
    from siamese.embedding import embed_map, read_vectors

    index = embed_map(made, params.embedding, store)
    tagged = tag_buildings(made, read_vectors(index, store), named, name, store)
    write_tagged(made, tagged, out, store)
    best = tagged.best(k)
    if sheet is not None:
        from siamese.embedding.asking import draw_buildings

        sheet.parent.mkdir(parents=True, exist_ok=True)
        sheet.write_bytes(
            draw_buildings(
                made,
                {building: f"{name} {score:.3f}" for building, score in best},
                f"{name}: the {len(best)} best of {made.event}",
                store,
            )
        )
    found: dict[str, Any] = {"name": name, "examples": tagged.positives, "counter_examples": tagged.negatives}
    rows = [{"id": one, "score": round(score, 4)} for one, score in best]
    text = "\n".join([
        f"{name}: {len(tagged.ids):,} buildings scored by {tagged.positives} examples and {tagged.negatives} "
        f"counter-examples; the best:",
        *(f"  {row['score']:.3f}  {row['id']}" for row in rows),
        f"  {out}",
    ])  # fmt: skip
    emit(found | {"map": made.digest, "best": rows}, text, as_json=as_json)


def add_commands(app: typer.Typer) -> None:
    """Adds the commands of this module to a group."""
    app.command()(embed)
    # Ids south of the equator begin with a minus.
    app.command(context_settings={"ignore_unknown_options": True})(search)
    app.command()(tag)


def _opened(params_file: Path, overrides: list[str] | None, encoder: str | None) -> tuple[ObjectStore, Params]:
    from siamese.params import load_params
    from siamese.store import ObjectStore

    given = [*(overrides or ()), *([f"embedding.encoder={encoder}"] if encoder else [])]
    return ObjectStore(), load_params(params_file, given)


def _embedded(source: object, params: Params, store: ObjectStore, model: str | None) -> EmbeddingIndex:
    # Imported here, as these take seconds: unknown names are reported at once.
    from siamese.embedding import embed_catalog, embed_folder, embed_map, embed_pairs
    from siamese.manifests import DamageMap, EmbeddingIndex, PairSet, SceneCatalog
    from siamese.registry import resolve_model

    match source:
        case DamageMap():
            return embed_map(source, params.embedding, store)
        case PairSet():
            own = params.embedding.encoder == "map"
            checkpoint = resolve_model(model or "latest", store) if own else None
            return embed_pairs(source, params.embedding, store, checkpoint)
        case SceneCatalog():
            return embed_catalog(source, params.embedding, store)
        case Path():
            return embed_folder(source, params.embedding, store)
        case EmbeddingIndex():
            return source
    raise SiameseError("cannot be embedded", where=str(source), fix=f"give {_WHAT.lower()}")


def _write_table(index: EmbeddingIndex, path: Path, store: ObjectStore) -> None:
    import pyarrow.parquet as pq

    from siamese.embedding.vectors import vector_batches, vector_schema, vector_table

    path.parent.mkdir(parents=True, exist_ok=True)
    of_folder = index.origin.inputs.keys() == {"images", "encoder"}
    key = "path" if of_folder else "id"
    tables = (vector_table(some, index.dimension, key) for some in vector_batches(index, store))
    first = next(tables, None)
    schema = vector_schema(index.dimension, key=key) if first is None else first.schema
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        if first is not None:
            writer.write_table(first)
        for table in tables:
            writer.write_table(table.cast(schema))


def _told(index: EmbeddingIndex) -> str:
    parts = ", ".join(f"{name} {stop - start}" for name, (start, stop) in index.parts.items())
    lines = [
        f"{index.count:,} vectors of {index.dimension} numbers ({parts})",
        f"  of {index.source}, by {index.encoder}: index {index.digest}",
    ]
    if index.skipped:
        lines.append(f"  {len(index.skipped)} skipped, the first: {next(iter(index.skipped.values()))}")
    if not index.count:
        lines.append("  the map has no buildings, so the index is empty")
    return "\n".join(lines)


def _rows(hits: tuple[Hit, ...]) -> list[dict[str, Any]]:
    return [
        {"rank": rank, "id": hit.id, "distance": round(hit.distance, 6), **dict(hit.columns)}
        for rank, hit in enumerate(hits, start=1)
    ]


def _print_table(rows: list[dict[str, Any]], query: str, *, exact: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    title = Text(f"most like {_shown(query)}" + ("" if exact else " (approximate)"))
    table = Table(title=title, title_justify="left", box=None)
    names = list(rows[0]) if rows else ["rank", "id", "distance"]
    for name in names:
        table.add_column(name, justify="right" if name in ("rank", "distance") else "left", overflow="fold")
    for row in rows:
        cells = [f"{value:.4f}" if isinstance(value, float) else str(value) for value in row.values()]
        table.add_row(*(Text(_shown(cell)) for cell in cells))
    Console().print(table)


def _shown(text: str) -> str:
    """Returns a text that cannot turn the terminal's writing around or move its cursor."""
    return "".join(letter if letter.isprintable() else "·" for letter in text)
