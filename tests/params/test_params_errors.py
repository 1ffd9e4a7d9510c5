"""What is wrong with params.yaml or an override is told in one line that names the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from siamese.errors import SiameseError
from siamese.params import Params, load_params

_FILE = Path(__file__).parents[2] / "params.yaml"


@pytest.mark.parametrize(
    ("override", "told"),
    [
        (
            "network.fusion=sum",
            "network.fusion: Input should be 'difference', 'signed', 'concat' or 'attention', got 'sum'",
        ),
        (
            "network.heads=joint",
            "network: heads: joint finds buildings in the fused dates; it needs localization: fused",
        ),
        ("network.post_bands=1", "network: post_encoder and post_bands need relation: asymmetric"),
        ("training.minutes=-1", "training.minutes: Input should be greater than 0, got -1"),
        ("training.minutes=.nan", "training.minutes: Input should be"),
        ("training.vote_weights=[1, 2]", "training.vote_weights.2: required"),
        ("pretraining.local_min_area=0.5", "local_min_area: is above pretraining.min_area, got 0.5"),
        ("training.speed=3", "training.speed: unknown key"),
        ("training=5", "not an override"),
        ("training.minutes.most=5", "'training.minutes.most=5': minutes has no keys"),
        ("training.vote_weights=[1", "'training.vote_weights=[1': its value is not YAML"),
        ("schooling.minutes=5", "schooling: unknown key"),
    ],
)
def test_an_override_that_does_not_fit_is_named(override: str, told: str) -> None:
    with pytest.raises(SiameseError) as caught:
        load_params(_FILE, [override])
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "Value error" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"- network", "not sections but ['network']"),
        (b"network", "not sections but 'network'"),
        (b"network: [", "not YAML"),
        (b"network: \xff", "not YAML"),
        (b"network: 3", "network: Input should be"),
    ],
)
def test_a_file_of_another_shape_is_named(tmp_path: Path, text: bytes, told: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(text)
    with pytest.raises(SiameseError) as caught:
        load_params(path)
    assert str(path) in str(caught.value)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_section_without_keys_has_its_defaults(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("training:\n")
    assert load_params(path) == Params()
