"""Tiny scenes on the raw bucket, and their catalog."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import pytest
from builders.tinyscenes import TinyScene

from siamese.ingest import ingest
from siamese.manifests import SceneCatalog
from siamese.params import IngestParams
from siamese.store import ObjectStore


@pytest.fixture
def make_catalog(store: ObjectStore) -> Callable[[Sequence[TinyScene]], SceneCatalog]:
    """Puts scenes on the raw bucket and ingests them."""

    def make(scenes: Sequence[TinyScene]) -> SceneCatalog:
        root = store.raw / "scenes"
        for scene in scenes:
            for date in ("pre", "post"):
                name = f"{scene.name}_{date}_disaster"
                base = root / scene.folder if scene.folder else root
                order = {1: slice(None), 3: slice(None, None, -1)}[scene.bands]
                _, png = cv2.imencode(".png", scene.image(date)[..., order])
                store.put(base / "images" / f"{name}.png", png.tobytes())
                store.put(base / "labels" / f"{name}.json", scene.label(date))
        return ingest(root, IngestParams(bands=(1, 3)), store)

    return make
