"""``siamese similarity``: train a model of similarity, measure it, and ask it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from siamese.cli.common import DEFAULT_PARAMS, Json, Out, Overrides, ParamsFile, emit, write_json
from siamese.cli.embedding import add_commands
from siamese.errors import SiameseError

if TYPE_CHECKING:
    from rich.table import Table

    from siamese.manifests import ItemSet, SimilarityEvaluation, SimilarityModel
    from siamese.params import Params
    from siamese.similarity.embedder import Embedder
    from siamese.store import ObjectStore

similarity_app = typer.Typer(
    name="similarity",
    help="Are two things the same? Learn it from images, series, vectors or texts, and ask it of new ones.\n\n"
    "A first try, with a folder that holds one subfolder of images for each person, sign or product:\n\n"
    "siamese similarity train faces\n\n"
    "siamese similarity evaluate faces\n\n"
    "siamese similarity verify one.png other.png",
    no_args_is_help=True,
)

Model = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="MODEL",
        help="latest, a digest, s3://…, what `train --out` wrote, or models:/NAME@champion.",
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(help="Distance at or below which two are the same; by default the one chosen in training."),
]
Warps = Annotated[
    int, typer.Option(min=1, max=64, help="Average over so many small affine changes of each image; slower, steadier.")
]
Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="Folder with one subfolder a class; CSV with columns a,b,same or text,class or class and numbers; "
        ".npy or .npz with labels; .ts. Local, or an s3:// address.",
        show_default=False,
    ),
]


@similarity_app.command()
def train(
    data: Data,
    minutes: Annotated[
        float | None, typer.Option(help="Stop after about this many minutes; similarity.minutes.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="At most this many epochs; similarity.epochs.")] = None,
    params: ParamsFile = DEFAULT_PARAMS,
    overrides: Overrides = None,
    as_json: Json = False,
    out: Out = None,
) -> None:
    """Learn what makes two items the same.

    DATA is checked first; items that cannot be used are counted, and listed with their reasons on the bucket. Whole
    classes are held out: items.val_share of them choose the threshold, items.test_share are for `evaluate`. Folders
    SIGNER/genuine and SIGNER/forged hold signatures and imitations of them; ALPHABET/CHARACTER are classes in groups.

    Its state is saved to the bucket about once a minute: after a kill or Ctrl-C, the same command resumes from there.

    Triplets instead of pairs: siamese similarity train DATA --set similarity.loss=triplet

    A learned similarity: --set similarity.distance=learned --set similarity.loss=bce

    Cosine instead of Euclidean distance: --set similarity.distance=cosine

    VGG16, only its last layer trained: --set similarity.encoder=vgg16 --set similarity.frozen=true
    --set items.side_px=224

    At most 1 % false accepts: --set similarity.threshold=far --set similarity.false_accepts=0.01
    """
    shortcuts = {"similarity.minutes": minutes, "similarity.epochs": epochs}
    settings, store = _opened(params, overrides, shortcuts)
    from siamese.similarity.verb import train_similarity

    items = _packed(data, settings, store)
    made = train_similarity(items, settings.similarity, store)
    made.mark_latest(store)
    write_json(made, out)
    emit(made, _model_table(made, items), as_json=as_json)


@similarity_app.command()
def evaluate(
    data: Data,
    model: Model = "latest",
    split: Annotated[str | None, typer.Option(help="train, val or test; similarity_evaluation.split.")] = None,
    folder: Annotated[
        Path | None, typer.Option("--plots", help="Also write report.json and the plots into this folder.")
    ] = None,
    params: ParamsFile = DEFAULT_PARAMS,
    overrides: Overrides = None,
    as_json: Json = False,
    out: Out = None,
) -> None:
    """Measure a model on classes that it never saw: the test split of DATA.

    Verification (ROC, DET, area under the curve, equal error rate), recall among the nearest neighbours, one- and
    few-shot classification, nearest neighbours and a linear classifier on the vectors, and the worst pairs. Plots go to
    the bucket, to the MLflow run that trained the model, and with --plots into a folder. Items are prepared as those
    that the model learned from; the params section `items` has no say.
    """
    settings, store = _opened(params, overrides, {"similarity_evaluation.split": split})
    if any(one.startswith("items.") for one in overrides or ()):
        from siamese.progress import LOGGER

        LOGGER.warning("--set items.… has no effect here: items are prepared as those that the model learned from")
    from siamese.similarity.evaluate import evaluate_similarity

    made_by = _model(model, store)
    items = _packed(data, _as_trained(settings, made_by, store), store)
    made = evaluate_similarity(made_by, items, settings.similarity_evaluation, store)
    made.mark_latest(store)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.json").write_bytes(made.report.read(store))
        for name, plot in made.plots.items():
            (folder / f"{name}.png").write_bytes(plot.read(store))
    write_json(made, out)
    emit(made, _figures_table(made, store), as_json=as_json)


@similarity_app.command()
def verify(
    first: Annotated[
        str,
        typer.Argument(
            metavar="A", help="An image file; a .csv or .npy for a model of series or vectors; a text for one of texts."
        ),
    ],
    second: Annotated[str, typer.Argument(metavar="B", help="Another.")],
    model: Model = "latest",
    threshold: Threshold = None,
    warps: Warps = 1,
    as_json: Json = False,
) -> None:
    """Decide whether two items are the same, with the error rates that the threshold had on validation.

    A model of two kinds of input (items.branches: [photo, sketch]) takes the first kind as A and the second as B.
    """
    from siamese.similarity.classify import verify as run
    from siamese.store import ObjectStore

    found = run(_embedder(model, ObjectStore()), first, second, threshold=threshold, warps=warps)
    answer = "the same" if found.same else "not the same"
    told = f"{answer}: distance {found.distance:.3f}, threshold {found.threshold:.3f}"
    if found.false_accepts is not None and found.false_rejects is not None:
        told += f"; on validation {found.false_accepts:.1%} false accepts, {found.false_rejects:.1%} false rejects"
    emit(found, told, as_json=as_json)


@similarity_app.command()
def classify(
    items: Annotated[
        list[str],
        typer.Argument(metavar="ITEM…", help="Files or folders of them, as for verify; texts for a model of texts."),
    ],
    examples: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Folder with one subfolder a class and an example or more in each; or a table or array with classes, "
            "as for `train`; for texts a CSV text,class.",
        ),
    ],
    model: Model = "latest",
    threshold: Threshold = None,
    warps: Warps = 1,
    sheet: Annotated[Path | None, typer.Option(help="Also write a picture of the answers (PNG).")] = None,
    as_json: Json = False,
) -> None:
    """Tell which class an item belongs to, from one or a few examples of each; nothing is trained.

    The classes may be new to the model. An item farther than the threshold from every class is "none of these". A model
    of two kinds of input takes examples of the first kind and items of the second.
    """
    from siamese.similarity.classify import classify as run
    from siamese.similarity.files import item_sheet, read_examples, resolve_items
    from siamese.store import ObjectStore

    embedder = _embedder(model, ObjectStore())
    asked = resolve_items(items, embedder.config.item_kind)
    known = read_examples(examples, embedder.config)
    found = run(embedder, asked, known, threshold=threshold, warps=warps)
    if sheet is not None:
        sheet.parent.mkdir(parents=True, exist_ok=True)
        sheet.write_bytes(item_sheet(embedder, [(one, f"{a.class_name or 'none of these'}\n{a.distance:.2f}")
                                                for one, a in zip(asked, found, strict=True)]))  # fmt: skip
    rows = [(one.item, one.class_name or "none of these", f"{one.distance:.3f}", one.nearest) for one in found]
    whole: dict[str, Any] = {"answers": [one.model_dump() for one in found]}
    title = f"{len(known)} classes, threshold {found[0].threshold:.3f}"
    emit(whole, _table(title, ("item", "class", "distance", "nearest"), rows), as_json=as_json)


@similarity_app.command()
def changes(
    first: Annotated[
        str,
        typer.Argument(
            metavar="BEFORE",
            help="An image or a folder of images, or a CSV with columns a,b; a text, for a model of texts; or a long "
            "series (.csv, .npy).",
        ),
    ],
    second: Annotated[
        str | None, typer.Argument(metavar="[AFTER]", help="An image, or a folder of images of the same names.")
    ] = None,
    window: Annotated[int | None, typer.Option(help="Steps of a series that are compared, before and after.")] = None,
    model: Model = "latest",
    threshold: Threshold = None,
    sheet: Annotated[Path | None, typer.Option(help="Also write a picture of the answers (PNG).")] = None,
    as_json: Json = False,
) -> None:
    """Decide which pairs of images changed, or at which steps a series changed its regime.

    Two images have changed if they are farther apart than the threshold. Of a series, the window before each step is
    compared with the window after it; a change is where their distance peaks above the threshold.

    Folders: siamese similarity changes before/ after/ --sheet changed.png

    A series: siamese similarity changes sensor.csv --window 100
    """
    from siamese.similarity.changes import changed_pairs, series_changes
    from siamese.similarity.embedder import read_array
    from siamese.similarity.files import change_sheet, pairs_to_compare, series_sheet
    from siamese.store import ObjectStore

    embedder = _embedder(model, ObjectStore())
    if embedder.config.item_kind == "series":
        if second is not None:
            fix = "leave it out: the windows before and after each step of one series are compared"
            raise SiameseError("is not used with a model of series", where=second, fix=fix)
        values = read_array(Path(first))
        found, curve = series_changes(embedder, values, window=window or embedder.config.shape[1], threshold=threshold)
        if sheet is not None:
            sheet.parent.mkdir(parents=True, exist_ok=True)
            sheet.write_bytes(series_sheet(values, curve, found))
        rows = [(str(one.step), f"{one.distance:.3f}") for one in found]
        whole: dict[str, Any] = {"changes": [one.model_dump() for one in found]}
        emit(whole, _table(f"{len(found)} changes", ("step", "distance"), rows), as_json=as_json)
        return
    names, before, after = pairs_to_compare(first, second, embedder.config.item_kind)
    told = changed_pairs(embedder, names, before, after, threshold=threshold)
    if sheet is not None:
        sheet.parent.mkdir(parents=True, exist_ok=True)
        sheet.write_bytes(change_sheet(embedder, told, before, after))
    answers = [(one.name, "changed" if one.changed else "the same", f"{one.distance:.3f}") for one in told]
    count = sum(one.changed for one in told)
    title = f"{count} of {len(told)} changed, threshold {told[0].threshold:.3f}"
    whole = {"pairs": [one.model_dump() for one in told]}
    emit(whole, _table(title, ("pair", "answer", "distance"), answers), as_json=as_json)


@similarity_app.command()
def register(
    model: Model = "latest",
    evaluation: Annotated[
        str, typer.Option(metavar="EVALUATION", help="latest, a digest, s3://… or what `evaluate --out` wrote.")
    ] = "latest",
    params: ParamsFile = DEFAULT_PARAMS,
    overrides: Overrides = None,
    as_json: Json = False,
    out: Out = None,
) -> None:
    """Register a similarity model in MLflow as a version of what similarity_promotion.model names."""
    from siamese.manifests import SimilarityEvaluation

    settings, store = _opened(params, overrides, {})
    made, scored = _model(model, store), SimilarityEvaluation.resolve(store, evaluation)
    from siamese.registry.similarity import register_similarity

    version = register_similarity(made, scored, settings.similarity_promotion, store)
    write_json(version, out)
    emit(version, f"{version.name} version {version.version} is {made.digest}", as_json=as_json)


@similarity_app.command()
def promote(
    version: Annotated[int, typer.Argument(metavar="VERSION", help="The registered version's number.")],
    items: Annotated[
        str, typer.Option(metavar="ITEMSET", help="Item set on whose test split both are measured; a digest.")
    ] = "",
    params: ParamsFile = DEFAULT_PARAMS,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Pass a registered version through the gate; if it is better than the champion, it becomes champion.

    Both are measured on the test split of one item set. The history of the model:
    siamese history --set promotion.model=siamese-similarity
    """
    from siamese.cli.registry import summary
    from siamese.manifests import ItemSet, SimilarityModel

    settings, store = _opened(params, overrides, {})
    from siamese.registry import resolve_version
    from siamese.registry.similarity import promote_similarity

    candidate = resolve_version(str(version), settings.similarity_promotion.model, store)
    reference = items or SimilarityModel.load(store, candidate.checkpoint).items
    decision = promote_similarity(
        candidate,
        ItemSet.resolve(store, reference),
        settings.similarity_promotion,
        settings.similarity_evaluation,
        store,
    )
    emit(decision, summary(decision), as_json=as_json)


@similarity_app.command()
def rollback(
    to: Annotated[int | None, typer.Option(metavar="VERSION", help="By default the champion before.")] = None,
    params: ParamsFile = DEFAULT_PARAMS,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Reinstate a former champion and ban the versions that it takes down."""
    from siamese.cli.registry import summary

    settings, store = _opened(params, overrides, {})
    from siamese.registry.similarity import rollback_similarity

    decision = rollback_similarity(to, settings.similarity_promotion, store)
    emit(decision, summary(decision), as_json=as_json)


def _opened(params: Path, overrides: list[str] | None, shortcuts: dict[str, Any]) -> tuple[Params, ObjectStore]:
    from siamese.params import load_params
    from siamese.store import ObjectStore

    given = [f"{key}={value}" for key, value in shortcuts.items() if value is not None]
    return load_params(params, [*(overrides or ()), *given]), ObjectStore()


def _packed(data: str, settings: Params, store: ObjectStore) -> ItemSet:
    from siamese.progress import LOGGER
    from siamese.similarity.data import local_data, pack_items

    with local_data(data, store) as path:
        items = pack_items(path, settings.items, store, name=data)
    items.mark_latest(store)
    for note in items.notes:
        LOGGER.info(f"{data}: {note}")
    if items.refused_count:
        LOGGER.warning(f"{data}: {items.refused_count} items cannot be used; reasons in {items.refused.uri}")
    return items


def _as_trained(settings: Params, model: SimilarityModel, store: ObjectStore) -> Params:
    """Returns the params with the items section that the model was trained with."""
    from siamese.similarity.embedder import read_config

    config = read_config(model.network.read(store), model.network.uri)
    return settings.model_copy(update={"items": config.items})


def _model(reference: str, store: ObjectStore) -> SimilarityModel:
    from siamese.manifests import SimilarityModel

    if reference.startswith("models:/"):
        from siamese.registry.similarity import resolve_similarity

        return resolve_similarity(reference, store)
    return SimilarityModel.resolve(store, reference)


def _embedder(reference: str, store: ObjectStore) -> Embedder:
    model = _model(reference, store)
    from siamese.similarity.embedder import load_embedder

    return load_embedder(store, model)


def _table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for place, name in enumerate(columns):
        table.add_column(name, justify="left" if place < 2 else "right")
    for row in rows:
        table.add_row(*row)
    return table


def _model_table(model: SimilarityModel, items: ItemSet) -> Table:
    classes = ", ".join(f"{count} {split}" for split, count in items.classes.items())
    title = (
        f"similarity model {model.digest}: {model.epochs} epochs in {model.minutes:.1f} minutes, start {model.start}"
    )
    rows = [("items", f"{items.used} used, {items.refused_count} refused"), ("classes", classes)]
    rows += [(f"validation {name.replace('_', ' ')}", f"{value:.3f}") for name, value in model.figures.items()]
    if model.threshold is not None:
        at = model.threshold
        rates = f"{at.false_accepts:.1%} false accepts, {at.false_rejects:.1%} false rejects"
        rows.append(("threshold", f"{at.distance:.3f} ({at.rule}): {rates}"))
    return _table(title, ("", ""), rows)


def _figures_table(made: SimilarityEvaluation, store: ObjectStore) -> Table:
    from siamese.similarity.evaluate import read_report

    report = read_report(made, store)
    title = f"{report.split}: {report.items} items of {report.classes} classes"
    rows = [
        ("area under the ROC curve", f"{report.scores.auc:.3f}"),
        ("equal error rate", f"{report.scores.eer:.1%}"),
        (
            f"at threshold {report.threshold:.3f}",
            f"{report.scores.false_accepts:.1%} false accepts, {report.scores.false_rejects:.1%} false rejects",
        ),
        *((f"recall at {count}", f"{value:.1%}") for count, value in report.recall_at.items()),
        *((f"{min(report.ways, report.classes)}-way {n}-shot", f"{value:.1%}") for n, value in report.few_shot.items()),
    ]
    rows += [("5 nearest neighbours", f"{report.knn:.1%}")] if report.knn is not None else []
    rows += [("linear probe", f"{report.linear_probe:.1%}")] if report.linear_probe is not None else []
    return _table(title, ("", ""), rows)


add_commands(similarity_app)
