"""The verb ``quantize``: converts a checkpoint to the same network in 8-bit integers, and measures the difference."""

from __future__ import annotations

from functools import partial

import numpy as np

from siamese.classes import disaster_number
from siamese.errors import SiameseError
from siamese.manifests import Checkpoint, PairSet, Quantized, QuantizedPart, Scores
from siamese.metrics import Counts, count_scene
from siamese.model import Predictor, SiameseUNet, class_raster
from siamese.model.backends import Graph, Image
from siamese.model.decision import Decision
from siamese.model.weights import load_network
from siamese.pairs import PairReader, SceneEntry
from siamese.params import QuantizationParams
from siamese.progress import progress
from siamese.quantization.calibration import calibration_scenes, int8_graphs
from siamese.quantization.stage import QUANTIZED
from siamese.store import ObjectStore, S3Uri, put_blob


def quantize(checkpoint: Checkpoint, params: QuantizationParams, store: ObjectStore) -> Checkpoint:
    """Publishes a network in 8-bit integers as a checkpoint of its own, to be evaluated and promoted like any other.

    Value ranges are collected from scenes of the train split that it learned from; the loss in quality is measured on
    the validation split. Thresholds and calibration are unchanged.

    Args:
        checkpoint: The network; its original weights are kept alongside, for training runs that start from it.
        params: How to quantize.
        store: Where manifests are stored.

    Returns:
        The published checkpoint; if already published, it is only read.

    Raises:
        SiameseError: The checkpoint is quantized already, or NNCF or OpenVINO cannot quantize it.
    """
    if checkpoint.quantized:
        fix = f"it was made from checkpoint {checkpoint.quantized.source}"
        raise SiameseError("is quantized already", where=f"checkpoint {checkpoint.digest}", fix=fix)
    origin = QUANTIZED.plan(inputs={"checkpoint": checkpoint}, params={"quantization": params})
    found = QUANTIZED.find(store, origin)
    if found is not None:
        return found
    reader = PairReader(store, PairSet.load(store, checkpoint.pairs), cache=store.settings.cache)
    network, config = load_network(store, checkpoint)
    scenes = calibration_scenes(reader, params.scenes)
    graphs = int8_graphs(network, [partial(_read, reader, entry) for entry in scenes])
    before, after, changed = _compared(network, graphs, config.decision, reader)
    folder = Checkpoint.folder(store, origin.digest)
    parts = tuple(_put(store, folder, number, graph) for number, graph in enumerate(graphs))
    quantized = Quantized(source=checkpoint.digest, parts=parts, scenes=len(scenes), before=before, changed=changed)
    fields = {name: getattr(checkpoint, name) for name in Checkpoint.model_fields if name not in _OWN}
    return Checkpoint(origin=origin, quantized=quantized, validation=after, **fields).publish(store)


_OWN = {"schema_number", "origin", "revision", "surroundings", "created", "quantized", "validation"}


def _read(reader: PairReader, entry: SceneEntry) -> tuple[Image, Image, int]:
    pre, post, _ = reader.whole(entry.scene)
    return pre, post, disaster_number(entry.disaster_type)


def _put(store: ObjectStore, folder: S3Uri, number: int, graph: Graph) -> QuantizedPart:
    return QuantizedPart(
        operations=put_blob(store, folder, f"part-{number}.xml", graph.operations, "application/xml"),
        constants=put_blob(store, folder, f"part-{number}.bin", graph.constants),
    )


def _compared(
    network: SiameseUNet, graphs: tuple[Graph, ...], decision: Decision, reader: PairReader
) -> tuple[Scores | None, Scores | None, float | None]:
    """Returns scores on the validation split before and after, and the share of building pixels whose class changed."""
    scenes = reader.scenes("val")
    if not scenes:
        return None, None, None
    # Both run on OpenVINO, so that only the integers make a difference.
    old = Predictor(network, decision, backend="openvino")
    new = Predictor(network, decision, backend="openvino", graphs=[graphs])
    counts, changed, buildings = [Counts(), Counts()], 0, 0
    with progress("compare, scenes", len(scenes)) as advance:
        for entry in scenes:
            pre, post, _ = reader.whole(entry.scene)
            targets = reader.targets(entry.scene)
            unseen = reader.unseen(entry.scene)
            said = (one.predict(pre, post, entry.disaster_type).without(unseen) for one in (old, new))
            rasters = [class_raster(prediction, decision) for prediction in said]
            counts = [sum_ + count_scene(one, one, *targets) for sum_, one in zip(counts, rasters, strict=True)]
            changed += int(np.count_nonzero(rasters[0] != rasters[1]))
            buildings += int(np.count_nonzero(rasters[0] | rasters[1]))
            advance(note=entry.scene)
    return counts[0].scores(), counts[1].scores(), changed / buildings if buildings else 0.0
