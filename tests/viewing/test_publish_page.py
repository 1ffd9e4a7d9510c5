"""The page of a map as one of its files: published once, the same bytes always, and left out of large maps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from embedding.conftest import checkpoint, images, make_checkpoint, make_map  # noqa: F401

from siamese.embedding import embed_map
from siamese.manifests import DamageMap
from siamese.params import AdaptationParams, EmbeddingParams, PublishParams
from siamese.reporting import current_products
from siamese.store import ObjectStore, S3Uri
from siamese.viewing import publishing
from siamese.viewing.onefile import write_one_file
from siamese.viewing.publishing import publish_page
from siamese.viewing.verb import ViewParams, write_view

EMBEDDING = EmbeddingParams(window_px=128, margin_px=32)
PARAMS = ViewParams(AdaptationParams(), EMBEDDING)


def test_a_page_is_published_once_and_named_beside_the_files_of_its_map(
    store: ObjectStore,
    make_map: Callable[..., DamageMap],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = make_map()
    files = current_products(made, PublishParams(), store)
    page = publish_page(made, files, PARAMS, store)
    assert page is not None
    assert page.map == made.digest
    objects = len(list(store.list(store.maps)))
    assert publish_page(made, files, PARAMS, store) == page
    assert len(list(store.list(store.maps))) == objects
    item = json.loads(page.products["stac_item"].read(store))
    assert set(item["assets"]) == {*(name for name in files if not name.startswith("stac")), "page"}
    for name, asset in item["assets"].items():
        whole = Path("/", S3Uri.parse(page.products["stac_item"].uri).key).parent.joinpath(asset["href"]).resolve()
        assert store.head(S3Uri(store.maps.bucket, str(whole)[1:])), name

    write_view(made, tmp_path / "page", ViewParams(PARAMS.adaptation, EMBEDDING, teach=False), store)
    write_one_file(tmp_path / "page", tmp_path / "page.html")
    assert (tmp_path / "page.html").read_bytes() == page.products["page"].read(store), "the same bytes"
    embed_map(made, EMBEDDING, store)
    taught = publish_page(made, files, PARAMS, store)
    assert taught is not None
    assert taught.products["page"].size > page.products["page"].size, "it learns from labels, as there are vectors"

    monkeypatch.setattr(publishing, "MOST_PX", made.width * made.height - 1)
    assert publish_page(made, files, PARAMS, store) is None
    monkeypatch.undo()
    monkeypatch.setattr(publishing, "MOST_BUILDINGS", 6)
    assert publish_page(made, files, PARAMS, store) is None
