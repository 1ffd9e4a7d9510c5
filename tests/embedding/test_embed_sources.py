"""Vectors of folders, catalogs and pair sets; and the commands that make them and search among them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from builders.tinytraining import tiny_catalog

from siamese.cli.app import main
from siamese.embedding import embed_catalog, embed_folder, embed_pairs, read_vectors
from siamese.errors import SiameseError
from siamese.manifests import Checkpoint, DamageMap, PairSet
from siamese.params import EmbeddingParams
from siamese.store import ObjectStore

PARAMS = EmbeddingParams(encoder="test_resnet", chip_px=32)
HOSTILE = "$x_{1}$ <b>[red]\u202e%s.png"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of images of different formats and sizes, and one that is none."""
    root = tmp_path / "things"
    rng = np.random.default_rng(0)
    for name, level in (("dark", 40), ("light", 200)):
        (root / name).mkdir(parents=True)
        for number, suffix in enumerate(("png", "jpg", "tif", "png")):
            pixels = np.clip(level + rng.integers(-30, 30, (40 + 9 * number, 50, 3)), 0, 255).astype(np.uint8)
            cv2.imwrite(str(root / name / f"{number}.{suffix}"), pixels[..., 0] if number == 3 else pixels)
    (root / "light" / HOSTILE).write_bytes((root / "light" / "0.png").read_bytes())
    (root / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    return root


@pytest.fixture
def commands(store: ObjectStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Runs the command line on the store."""
    for name in ("raw", "lake", "maps"):
        monkeypatch.setenv(f"SIAMESE_{name.upper()}_BUCKET", getattr(store.settings, f"{name}_bucket"))
    monkeypatch.setenv("SIAMESE_HOME", str(store.settings.home))
    params = tmp_path / "params.yaml"
    params.write_text("embedding: {window_px: 128, margin_px: 32, chip_px: 32}\n")

    def run(*words: object, code: int = 0) -> None:
        with pytest.raises(SystemExit) as ended:
            main(["similarity", *map(str, words), "--params", str(params)])
        assert ended.value.code == code

    return run


def test_a_folder_gives_one_vector_an_image(store: ObjectStore, folder: Path) -> None:
    index = embed_folder(folder, PARAMS, store)
    found = read_vectors(index, store)
    assert len(found) == 9
    assert found.ids[0] == "dark/0.png"
    assert set(found.columns["class"]) == {"dark", "light"}
    assert list(index.skipped) == ["broken.png"]
    assert "broken.png" in index.skipped["broken.png"]
    twin = found.position(f"light/{HOSTILE}")
    np.testing.assert_array_equal(found.values[twin], found.values[found.position("light/0.png")])
    assert embed_folder(folder, PARAMS, store) == index


def test_a_folder_without_images_is_refused(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(SiameseError, match="holds no PNG, TIFF or JPEG — name a folder of images"):
        embed_folder(tmp_path, PARAMS, store)
    (tmp_path / "one.png").write_bytes(b"nothing")
    with pytest.raises(SiameseError, match=r"nothing in it can be embedded; the first, one\.png: "):
        embed_folder(tmp_path, PARAMS, store)


def test_a_catalog_gives_one_vector_an_image_of_each_date(store: ObjectStore) -> None:
    index = embed_catalog(tiny_catalog(store, 2), PARAMS, store)
    found = read_vectors(index, store)
    assert found.ids == tuple(f"quake_{number:08d}_{date}_disaster" for number in range(2) for date in ("pre", "post"))
    assert list(found.columns["date"]) == ["pre", "post"] * 2


def test_a_pair_set_gives_each_labelled_building_a_vector_and_its_class(
    store: ObjectStore, pairs: PairSet, checkpoint: Checkpoint
) -> None:
    index = embed_pairs(pairs, EmbeddingParams(), store, checkpoint)
    found = read_vectors(index, store)
    table = pq.read_table(io.BytesIO(pairs.buildings.read(store)))
    assert sorted(found.ids) == sorted(
        f"{scene}/{uid}" for scene, uid in zip(table["scene"].to_pylist(), table["uid"].to_pylist(), strict=True)
    )
    assert set(found.columns["class"]) <= {one.replace("-", "_") for one in table["subtype"].to_pylist()}
    assert set(found.columns["split"]) == {"train", "val"}
    assert index.encoder == f"checkpoint {checkpoint.content}"
    chips = embed_pairs(pairs, PARAMS, store)
    assert chips.count == index.count
    with pytest.raises(SiameseError, match="a pair set has no network of its own"):
        embed_pairs(pairs, EmbeddingParams(), store)


def test_commands_embed_and_search_a_map(
    commands: Callable[..., None],
    make_map: Callable[..., DamageMap],
    store: ObjectStore,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    made = make_map()
    made.mark_current(store)
    commands("embed", "storm", "--out", tmp_path / "vectors.parquet")
    assert "7 vectors of" in capfd.readouterr().out
    table = pq.read_table(tmp_path / "vectors.parquet")
    assert table.column_names == ["id", "vector"]
    name = table["id"][0].as_py()
    files = tmp_path / "like.geojson", tmp_path / "like.png"
    commands("search", name, "--in", "storm", "-k", "3", "--geojson", files[0], "--sheet", files[1], "--json")
    told = json.loads(capfd.readouterr().out)
    assert [hit["rank"] for hit in told["hits"]] == [1, 2, 3]
    assert name not in [hit["id"] for hit in told["hits"]]
    features = json.loads(files[0].read_text())["features"]
    assert [feature["id"] for feature in features] == [hit["id"] for hit in told["hits"]]
    assert features[0]["properties"]["damage_class"] in made.counts
    sheet = cv2.imread(str(files[1]))
    assert sheet is not None
    assert sheet.std() > 10
    commands("search", "-33.868000+151.209000", "--in", made.digest, code=1)
    assert "has no vector with the id '-33.868000+151.209000'" in capfd.readouterr().err
    commands("search", "nowhere", "--in", made.digest, code=1)
    assert "has no vector with the id 'nowhere' — give an id such as" in capfd.readouterr().err
    examples = tmp_path / "examples.csv"
    examples.write_text(f"id,label\n{name},1\n{table['id'][3].as_py()},0\n")
    out = tmp_path / "tagged.parquet"
    commands("tag", "storm", "--examples", examples, "--name", "tarpaulin", "--out", out, "--sheet", files[1], "--json")
    assert json.loads(capfd.readouterr().out)["best"][0]["id"] == name
    assert "tarpaulin" in pq.read_schema(out).names


def test_commands_search_a_folder_by_image_and_survive_hostile_names(
    commands: Callable[..., None], folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ("--in", folder, "--encoder", "test_resnet", "-k", "4", "--sheet", tmp_path / "sheet.png")
    commands("search", folder / "light" / HOSTILE, *words)
    out = capfd.readouterr().out
    assert "\u202e" not in out
    assert "light/0.png" in out
    assert cv2.imread(str(tmp_path / "sheet.png")) is not None
    commands("embed", folder, "--encoder", "test_resnet", "--json", "--out", tmp_path / "index.json")
    digest = EmbeddingIndexText(capfd.readouterr().out).digest
    commands("search", folder / "dark" / "0.png", "--in", digest, "--encoder", "test_efficientnet", code=1)
    err = capfd.readouterr().err
    assert "was made by timm test_resnet" in err
    assert "their vectors do not compare" in err
    commands("search", folder / "gone.png", "--in", digest, code=1)
    assert "there is no such image, and no such id" in capfd.readouterr().err
    commands("embed", folder, "--encoder", "no_such_net", code=1)
    assert "timm knows no such encoder" in capfd.readouterr().err
    commands("embed", "no-such-event", code=1)
    assert "there is no such map, folder, pair set, catalog or index" in capfd.readouterr().err


class EmbeddingIndexText:
    """What ``embed --json`` prints."""

    def __init__(self, text: str) -> None:
        self.digest = json.loads(text)["origin"]["digest"]
