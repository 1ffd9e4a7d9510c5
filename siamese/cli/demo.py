"""``siamese demo``: runs the whole chain on this machine, through the deployments that an operator would use."""

from __future__ import annotations

import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from siamese.classes import DAMAGE_CLASSES
from siamese.cli.common import DEFAULT_PARAMS, Overrides, ParamsFile
from siamese.cli.params import publish_first
from siamese.errors import SiameseError
from siamese.manifests import DamageMap, Evaluation, ModelVersion, PairSet
from siamese.params import Params, load_params
from siamese.runs import publish_run
from siamese.servers import without_login
from siamese.store import Blob, ObjectStore, S3Uri, open_context

SAMPLE = Path("data/scenes")
RESULTS = Path("data/demo")
MAPPED_SCENES = 3


def demo(
    data: Annotated[
        Path | None, typer.Option("--data", help="Scenes in xBD's layout; by default, synthetic ones are written.")
    ] = None,
    file: ParamsFile = DEFAULT_PARAMS,
    overrides: Overrides = None,
) -> None:
    """Demonstrate the whole chain: local stack, scenes, training, score, registered champion, damage maps.

    Everything runs through the Prefect deployments on real local servers, which stay up afterwards (`siamese down` ends
    them). When run again, it reuses what is already done.
    """
    if data is not None and not data.is_dir():
        raise SiameseError("no such folder", where=str(data), fix="name a folder with images/ and labels/")
    from siamese.sample import write_sample
    from siamese.stack import up

    console, started = Console(), time.monotonic()
    params = load_params(file, overrides or ())
    console.rule("1. local stack" if data is not None else "1. local stack, and synthetic scenes meanwhile")
    with ThreadPoolExecutor(1, "sample") as pool:
        written = pool.submit(write_sample, SAMPLE, params.sample) if data is None else None
        up()
    if written is not None:
        written.result()
    context = open_context()
    context.export()
    store = context.store
    publish_first(store)
    console.rule("2. upload of the scenes")
    source = _bring_scenes(data, params, store)
    console.rule("3. retrain: ingest, pairs, training, evaluation, registration, gate")
    run = publish_run(params.model_copy(update={"ingest": params.ingest.model_copy(update={"source": source})}), store)
    _run(console, "retrain/cpu", {"run": run})
    version = ModelVersion.latest(store)
    evaluation = Evaluation.load(store, version.evaluation)
    console.rule("4. damage maps of held-out scenes")
    scenes = _most_damaged(store, evaluation)
    _run(console, "damage_map/cpu", {"run": run, "scenes": scenes})
    console.rule("result")
    _tell_scores(console, evaluation)
    _tell_model(console, store, version, params)
    _tell_maps(console, store, scenes)
    console.print(f"The demo took {(time.monotonic() - started) / 60:.1f} minutes. `siamese down` ends the servers.")


def _bring_scenes(data: Path | None, params: Params, store: ObjectStore) -> str:
    from siamese.ingest import upload

    if data is None:
        upload(SAMPLE, S3Uri.parse(params.ingest.source), store)
        return params.ingest.source
    name = re.sub(r"[^a-z0-9]+", "-", data.resolve().name.lower()).strip("-") or "scenes"
    source = store.raw / f"demo-{name}"
    upload(data, source, store)
    return str(source)


def _run(console: Console, deployment: str, parameters: dict[str, Any]) -> None:
    from siamese.cli.follow import run_and_follow

    def tell(line: str) -> None:
        console.print(f"  {line}", style="dim", markup=False, highlight=False, soft_wrap=True)

    run_and_follow(deployment, parameters, tell)


def _most_damaged(store: ObjectStore, evaluation: Evaluation) -> list[str]:
    from siamese.pairs.reader import PairReader

    reader = PairReader(store, PairSet.load(store, evaluation.pairs), cache=store.settings.cache)

    def damaged(scene: str) -> int:
        return sum(building.subtype in ("major-damage", "destroyed") for building in reader.buildings(scene))

    names = [entry.scene for entry in reader.scenes(evaluation.split)]
    return sorted(names, key=lambda name: (-damaged(name), name))[:MAPPED_SCENES]


def _tell_scores(console: Console, evaluation: Evaluation) -> None:
    scores = evaluation.scores
    table = Table(
        "figure", "value", title=f"Official xView2 score, split {evaluation.split} (held out)", title_justify="left"
    )
    table.add_row("score", f"{scores.score:.3f}", style="bold")
    table.add_row("localization F1", f"{scores.localization_f1:.3f}")
    table.add_row("damage F1 (harmonic mean)", f"{scores.damage_f1:.3f}")
    for name in DAMAGE_CLASSES:
        table.add_row(f"  {name.replace('_', ' ')} F1", f"{getattr(scores, f'damage_f1_{name}'):.3f}")
    console.print(table)


def _tell_model(console: Console, store: ObjectStore, version: ModelVersion, params: Params) -> None:
    from siamese.registry import history

    last = history(params.promotion, store)[-1]
    champion = last.champion_after.version if last.champion_after else None
    alias = "champion" if champion == version.version else f"challenger (champion is version {champion})"
    console.print(f"model      {version.name} version {version.version}, alias {alias}")
    for reason in last.reasons:
        console.print(f"           {reason}", markup=False)
    prefect = os.environ.get("PREFECT_API_URL", "").removesuffix("/api")
    console.print(f"Prefect    {prefect}/runs")
    mlflow = without_login(os.environ.get("MLFLOW_TRACKING_URI", ""))
    console.print(f"MLflow     {mlflow}/#/models/{version.name}/versions/{version.version}")
    login = store.settings.home / "login"
    if login.is_file():
        console.print(f"log in     with what `cat {login}` prints, user:password; Prefect takes the whole line")


def _tell_maps(console: Console, store: ObjectStore, scenes: list[str]) -> None:
    for scene in scenes:
        made = DamageMap.current(store, scene)
        console.print(
            f"map        {made.event}: " + ", ".join(f"{count} {name}" for name, count in made.counts.items())
        )
        for blob in (made.classes, made.buildings, made.geojson, made.picture):
            console.print(f"           {_fetch(store, blob, RESULTS / scene)}")


def _fetch(store: ObjectStore, blob: Blob, folder: Path) -> Path:
    uri = S3Uri.parse(blob.uri)
    path = folder / uri.name
    store.download(uri, path)
    return path
