"""Methods by name."""

from __future__ import annotations

from siamese.errors import SiameseError
from siamese.model.encoders import Encoder
from siamese.params import PretrainingParams
from siamese.pretraining.byol import Byol
from siamese.pretraining.dino import Dino
from siamese.pretraining.method import Method
from siamese.pretraining.simsiam import SimSiam

_LEAST_CELLS = 2


def build_method(encoder: Encoder, params: PretrainingParams) -> Method:
    """Builds the method that trains an encoder.

    Raises:
        SiameseError: Its views are too small for the encoder.
    """
    check_views(encoder, params)
    match params.method:
        case "simsiam":
            return SimSiam(encoder, params)
        case "byol":
            return Byol(encoder, params)
        case "dino":
            return Dino(encoder, params)


def check_views(encoder: Encoder, params: PretrainingParams) -> None:
    """Rejects views whose deepest feature map would be a single cell, or not a whole number of cells.

    Raises:
        SiameseError: A view does not fit; the message names the param.
    """
    stride = encoder.reductions[-1]
    sides = {"crop_px": params.crop_px}
    if params.method == "dino" and params.local_crops:
        sides["local_px"] = params.local_px
    for name, side in sides.items():
        if side % stride or side < _LEAST_CELLS * stride:
            what = f"{side} px is too small a view, or no multiple, for the stride {stride} of {encoder.name}"
            fix = f"give a multiple of {stride}, at least {_LEAST_CELLS * stride}"
            raise SiameseError(what, where=f"pretraining.{name}", fix=fix)
