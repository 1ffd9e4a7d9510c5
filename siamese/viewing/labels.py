"""Labels that the page hands back: kept on the bucket as label sets."""

from __future__ import annotations

import tempfile
from pathlib import Path

from siamese.adaptation.buildings import MapBuildings
from siamese.adaptation.labels import match_labels, read_label_file
from siamese.adaptation.labelset import keep_labels
from siamese.adaptation.lineage import trace
from siamese.errors import SiameseError
from siamese.manifests import DamageMap
from siamese.params import AdaptationParams
from siamese.store import ObjectStore

_NAME = "page.geojson"


class PageLabels:
    """Keeps labels of one map; its buildings are read once."""

    def __init__(self, damage_map: DamageMap, params: AdaptationParams, store: ObjectStore, author: str) -> None:
        self._map, self._params, self._store, self._author = damage_map, params, store, author
        self._buildings: MapBuildings | None = None

    def __call__(self, body: bytes, author: str, purpose: str) -> dict[str, object]:
        """Keeps labels.

        Args:
            body: GeoJSON, as the page and `siamese adapt` write and read it.
            author: Who labelled; empty: whoever runs the server.
            purpose: ``label`` or ``assessment``.

        Raises:
            SiameseError: The labels cannot be used; the message names them.
        """
        if purpose not in ("label", "assessment"):
            raise SiameseError("labels have no such purpose", where=purpose, fix="label or assessment")
        if self._buildings is None:
            self._buildings = trace(self._map, self._store).buildings
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / _NAME
            path.write_bytes(body)
            try:
                given = match_labels(
                    read_label_file(path), self._buildings, iou=self._params.match_iou, where="labels of the page"
                )
            except SiameseError as error:
                raise SiameseError(error.what, where=error.where.replace(str(path), "page"), fix=error.fix) from error
        kept = keep_labels(
            self._map,
            self._buildings,
            given,
            self._store,
            author=author.strip() or self._author,
            source="page",
            purpose="label" if purpose == "label" else "assessment",
        )
        return {"set": kept.digest, "labels": len(given)}
