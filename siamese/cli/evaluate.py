"""``siamese evaluate``: scores a network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from siamese.cli.common import DEFAULT_PARAMS, JsonFile, Out, Overrides, ParamsFile, write_json
from siamese.errors import SiameseError


def evaluate(
    scenes: Annotated[
        str,
        typer.Option(
            metavar="DIR|PAIRSET",
            help="A folder of labelled scenes in xBD's layout, or a pair set: latest, a digest, s3://… or what --out "
            "wrote.",
        ),
    ] = "latest",
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URI",
            help="latest (the default), a checkpoint's digest, s3://… or what --out wrote, models:/NAME@ALIAS, "
            "models:/NAME/VERSION. Repeat it for an ensemble: probabilities are averaged.",
        ),
    ] = None,
    json_file: JsonFile = None,
    metrics: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the seven official figures as flat JSON, for DVC.")
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write plots as PNG and as CSV that `dvc plots` shows.")
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write predictions to DIR and targets to DIR/targets in the official naming, as `siamese score` "
            "takes them.",
        ),
    ] = None,
    out: Out = None,
    params_file: ParamsFile = DEFAULT_PARAMS,
    overrides: Overrides = None,
) -> None:
    """Score a network: the official xView2 score and every figure behind it.

    On a pair set, the split named by `evaluation.split` is scored and the evaluation is published; run again, it is
    only read. On a folder (images/ and labels/, flat or in split folders), every labelled scene is scored and nothing
    is published; each model of an ensemble is scored too, with its cost. The report covers pixels and buildings, each
    event with its support, a 95 % interval over scenes, the confusion matrices, calibration, and the worst scenes.
    """
    from rich.console import Console

    from siamese.manifests import PairSet
    from siamese.params import load_params
    from siamese.store import ObjectStore

    params = load_params(params_file, overrides or ()).evaluation
    store = ObjectStore()
    local = "/" in scenes and not scenes.startswith("s3://")
    if local and not Path(scenes).exists():
        fix = "pass a folder with images/ and labels/, or a pair set"
        raise SiameseError("no such folder or file", where=scenes, fix=fix)
    folder = not scenes.startswith("s3://") and Path(scenes).is_dir()
    if folder and out is not None:
        fix = "use --json, or score a pair set"
        raise SiameseError("--out writes a published evaluation; that of a folder is not published", fix=fix)
    pairs = None if folder else PairSet.resolve(store, scenes)
    # Imported last, as these take seconds: errors above are reported at once.
    from siamese.cli.scoretable import report_text
    from siamese.evaluation import evaluate as evaluate_split
    from siamese.evaluation import evaluate_folder, read_report
    from siamese.evaluation.files import write_metrics, write_plots
    from siamese.registry import resolve_model

    first, *further = (resolve_model(uri, store) for uri in model or ["latest"])
    if pairs is None:
        report = evaluate_folder(first, Path(scenes), params, store, further=further, predictions=predictions)
    else:
        evaluation = evaluate_split(first, pairs, params, store, further=further, predictions=predictions)
        evaluation.mark_latest(store)
        write_json(evaluation, out)
        report = read_report(evaluation, store)
    if metrics is not None:
        write_metrics(report, metrics)
    if plots is not None:
        write_plots(report, plots)
    write_json(report, json_file)
    if str(json_file) != "-":
        Console().print(report_text(report))
