"""The schemas of the two Parquet tables of a pair set."""

from __future__ import annotations

import pyarrow as pa

from siamese.pairs.blocks import PIXEL_CLASSES

_NAME = pa.dictionary(pa.int32(), pa.string())

INDEX_SCHEMA = pa.schema(
    [
        *[(name, _NAME) for name in ("scene", "disaster", "disaster_type", "split")],
        *[(name, pa.int32()) for name in ("scene_width", "scene_height", "row", "col", "width", "height")],
        *[(name, pa.int8()) for name in ("pre_bands", "post_bands")],
        ("shard", pa.int32()),
        ("offset", pa.int64()),
        *[(name, pa.int32()) for name in ("length", "pre_offset", "pre_length", "post_offset", "post_length")],
        *[(name, pa.int32()) for name in ("mask_offset", "mask_length")],
        ("sha256", pa.binary(32)),
        *[(f"pixels_{name}", pa.int32()) for name in PIXEL_CLASSES],
    ]
)
"""One row per block. ``pre_offset`` etc. count from ``offset``, where the block's sample begins in the shard."""

BUILDINGS_SCHEMA = pa.schema(
    [
        ("scene", _NAME),
        ("uid", pa.string()),
        ("subtype", _NAME),
        ("pre_polygon", pa.binary()),
        ("post_polygon", pa.binary()),
    ]
)
"""One row per building; polygons are WKB in pixels, x = column, y = row."""
