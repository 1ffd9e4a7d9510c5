"""Labels that the page hands back: kept on the bucket as label sets, and as the map's assessment."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from siamese.adaptation.assessment import assess_labels, draw_sample, unlabelled
from siamese.adaptation.buildings import MapBuildings
from siamese.adaptation.labels import Label, match_labels, read_label_file
from siamese.adaptation.labelset import keep_labels
from siamese.adaptation.lineage import Lineage, trace
from siamese.errors import SiameseError
from siamese.manifests import DamageMap
from siamese.params import AdaptationParams
from siamese.store import ObjectStore

_NAME = "page.geojson"
_SOURCE = "page"


class PageLabels:
    """Keeps labels of one map; its buildings are read once."""

    def __init__(self, damage_map: DamageMap, params: AdaptationParams, store: ObjectStore, author: str) -> None:
        self._map, self._params, self._store, self._author = damage_map, params, store, author

    def __call__(self, body: bytes, author: str, purpose: str, size: int) -> dict[str, object]:
        """Keeps labels; those of a whole sample become the map's assessment.

        Args:
            body: GeoJSON, as the page and `siamese adapt` write and read it.
            author: Who labelled; empty: whoever runs the server.
            purpose: ``label`` or ``assessment``.
            size: Of the sample that was drawn, for an assessment.

        Returns:
            ``set``, the digest of the label set; ``labels``, how many it holds; for an assessment ``open``, how many
            buildings of the sample have no label yet, and once none is open ``assessment``, its digest.

        Raises:
            SiameseError: The labels cannot be used; the message names them.
        """
        author = author.strip() or self._author
        if purpose == "label":
            buildings = self._lineage.buildings
            given = self._read(body, buildings)
            kept = keep_labels(self._map, buildings, given, self._store, author=author, source=_SOURCE)
            return {"set": kept.digest, "labels": len(given)}
        if purpose != "assessment":
            raise SiameseError("labels have no such purpose", where=purpose, fix="label or assessment")
        given = self._read(body, self._mapped)
        sample = draw_sample(self._map, size, self._params, self._store)
        if missing := unlabelled(sample, given, self._mapped, self._store):
            kept = keep_labels(
                self._map, self._mapped, given, self._store, author=author, source=_SOURCE, purpose="assessment"
            )
            return {"set": kept.digest, "labels": len(given), "open": len(missing)}
        made = assess_labels(self._map, sample, given, self._store, author=author, source=_SOURCE)
        return {"set": made.labels, "labels": len(given), "open": 0, "assessment": made.digest}

    @cached_property
    def _lineage(self) -> Lineage:
        return trace(self._map, self._store)

    @cached_property
    def _mapped(self) -> MapBuildings:
        return self._lineage.current(self._store)

    def _read(self, body: bytes, buildings: MapBuildings) -> Sequence[Label]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / _NAME
            path.write_bytes(body)
            try:
                return match_labels(
                    read_label_file(path), buildings, iou=self._params.match_iou, where="labels of the page"
                )
            except SiameseError as error:
                raise SiameseError(error.what, where=error.where.replace(str(path), "page"), fix=error.fix) from error
