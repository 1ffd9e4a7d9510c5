"""Registration: one version a checkpoint, whatever happens, pointing at the bucket."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from builders.published_models import World, dead_server
from mlflow.exceptions import RestException

from siamese.errors import SiameseError, TransientError
from siamese.manifests import Checkpoint, ModelVersion
from siamese.registry import model_name, register, resolve_model
from siamese.registry.registration import TAG_CHECKPOINT
from siamese.registry.server import set_alias
from siamese.store import S3Uri


def test_a_version_points_at_the_bucket_and_says_what_it_is(world: World) -> None:
    checkpoint, evaluation = world.checkpoint(0.6)
    before = {info.uri for info in world.store.list(world.store.lake)}
    version = register(checkpoint, evaluation, world.params, world.store)
    (remote,) = world.versions()
    assert (version.version, int(remote.version)) == (1, 1)
    assert remote.source == str(Checkpoint.folder(world.store, checkpoint.digest))
    assert remote.tags["siamese.checkpoint"] == checkpoint.digest
    assert remote.tags["siamese.weights_sha256"] == checkpoint.weights.sha256
    assert remote.tags["siamese.pairs"] == world.pairs.digest
    assert remote.tags["siamese.catalog"] == "c0ffee"
    assert remote.tags["siamese.revision"] == checkpoint.revision
    assert float(remote.tags["score"]) == pytest.approx(0.6)
    written = {info.uri for info in world.store.list(world.store.lake)} - before
    assert {uri.key.split("/")[0] for uri in written} == {"model-version", "registry-claims"}
    assert world.aliases() == {"challenger": 1}


def test_many_that_register_at_once_make_one_version(world: World) -> None:
    checkpoint, evaluation = world.checkpoint(0.6)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: register(checkpoint, evaluation, world.params, world.store), range(8)))
    (remote,) = world.versions()
    assert {version.version for version in made} == {int(remote.version)}
    assert len({version.digest for version in made}) == 1


@pytest.mark.parametrize("left_behind", [1, 3])
def test_versions_left_by_the_killed_are_taken_up_or_cleared_away(world: World, left_behind: int) -> None:
    checkpoint, evaluation = world.checkpoint(0.6)
    world.client.create_registered_model(world.params.model)
    for _ in range(left_behind):
        tags = {TAG_CHECKPOINT: checkpoint.digest}
        world.client.create_model_version(world.params.model, "s3://some/where", tags=tags)
    assert register(checkpoint, evaluation, world.params, world.store).version == 1
    (remote,) = world.versions()
    assert remote.tags["siamese.weights_sha256"] == checkpoint.weights.sha256


def test_a_killed_second_maker_is_cleared_away_by_the_next_call(world: World) -> None:
    checkpoint, evaluation = world.checkpoint(0.6)
    first = register(checkpoint, evaluation, world.params, world.store)
    world.client.create_model_version(world.params.model, "s3://some/where", tags={TAG_CHECKPOINT: checkpoint.digest})
    assert register(checkpoint, evaluation, world.params, world.store) == first
    assert [int(version.version) for version in world.versions()] == [1]
    assert world.registered(0.7).version == 3, "MLflow must not give a deleted number again"


def test_another_evaluation_of_a_checkpoint_makes_no_other_version(world: World) -> None:
    checkpoint, evaluation = world.checkpoint(0.6)
    first = register(checkpoint, evaluation, world.params, world.store)
    validation = World(
        world.store,
        world.client,
        world.pairs,
        world.params,
        world.evaluation.model_copy(update={"split": "val"}),
        world.folder,
    )
    second = register(checkpoint, validation.evaluate(checkpoint, 0.7, 0.6), world.params, world.store)
    assert (first.version, second.version) == (1, 1)
    assert first.digest != second.digest
    (remote,) = world.versions()
    assert float(remote.tags["score"]) == pytest.approx(0.7)


def test_what_cannot_be_registered_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint, evaluation = world.checkpoint(0.6)
    other, _ = world.checkpoint(0.7)
    with pytest.raises(SiameseError, match="of another checkpoint"):
        register(other, evaluation, world.params, world.store)
    world.store.put(S3Uri.parse(checkpoint.weights.uri), b"other bytes")
    with pytest.raises(SiameseError, match="do not match their registered sha256"):
        register(checkpoint, evaluation, world.params, world.store)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", dead_server())
    with pytest.raises(TransientError, match="does not answer"):
        register(*world.checkpoint(0.5), world.params, world.store)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with pytest.raises(SiameseError, match="no server is configured"):
        register(*world.checkpoint(0.5), world.params, world.store)
    with pytest.raises(RestException, match="not found"):
        world.client.get_registered_model(world.params.model)


def test_a_version_that_mlflow_lost_is_told(world: World) -> None:
    checkpoint, evaluation = world.checkpoint(0.6)
    register(checkpoint, evaluation, world.params, world.store)
    world.client.delete_model_version(world.params.model, "1")
    with pytest.raises(SiameseError, match="MLflow has lost version 1"):
        register(checkpoint, evaluation, world.params, world.store)


def test_a_model_is_found_by_every_name(world: World) -> None:
    version = world.promoted(0.6)
    world.registered(0.4)
    checkpoint = Checkpoint.load(world.store, version.checkpoint)
    checkpoint.mark_latest(world.store)
    file = world.folder / "checkpoint.json"
    file.write_text(checkpoint.model_dump_json())
    name = world.params.model
    for reference in (
        f"models:/{name}@champion",
        f"models:/{name}/1",
        "latest",
        checkpoint.digest,
        str(checkpoint.uri(world.store)),
        str(file),
    ):
        assert resolve_model(reference, world.store) == checkpoint, reference
    assert resolve_model(f"models:/{name}@challenger", world.store) == resolve_model(f"models:/{name}/2", world.store)
    assert model_name(f"models:/{name}@champion", checkpoint, world.store) == f"{name} version 1"
    assert model_name("latest", checkpoint, world.store) == f"checkpoint {checkpoint.digest}"


def test_a_model_that_is_not_there_or_not_sound_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    name = world.params.model
    for reference, why in (
        (f"models:/{name}@champion", "no champion yet"),
        (f"models:/{name}/7", "no such version"),
        (f"models:/{name}@nobody", "no such version"),
        ("models:/a/b/c", "not a model's address"),
        ("nonsense", "no such model"),
        ("0123456789abcdef", "no checkpoint has been published"),
    ):
        with pytest.raises(SiameseError, match=why):
            resolve_model(reference, world.store)
    version = world.promoted(0.6)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", dead_server())
    assert resolve_model(f"models:/{name}@champion", world.store).digest == version.checkpoint
    with pytest.raises(TransientError):
        resolve_model(f"models:/{name}/1", world.store)
    world.damage_weights(version)
    with pytest.raises(SiameseError, match="do not match"):
        resolve_model(f"models:/{name}@champion", world.store)


def test_a_tag_that_was_changed_in_mlflow_refuses_the_model(world: World) -> None:
    version = world.registered(0.6)
    world.client.set_model_version_tag(version.name, "1", "siamese.weights_sha256", "0" * 64)
    with pytest.raises(SiameseError, match="not what was registered"):
        resolve_model(f"models:/{version.name}/1", world.store)
    assert ModelVersion.load(world.store, version.digest) == version


def test_many_that_set_a_new_alias_at_once_all_succeed(world: World) -> None:
    checkpoint, evaluation = world.checkpoint(0.6)
    register(checkpoint, evaluation, world.params, world.store)
    for number in range(10):
        begin = Barrier(8)

        def point(_: int, alias: str = f"alias-{number}", begin: Barrier = begin) -> None:
            begin.wait()
            set_alias(world.client, world.params.model, alias, 1)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(point, range(8)))
    assert world.aliases() == {"challenger": 1} | {f"alias-{number}": 1 for number in range(10)}


def test_an_alias_of_a_version_that_is_not_there_is_refused(world: World) -> None:
    checkpoint, evaluation = world.checkpoint(0.6)
    register(checkpoint, evaluation, world.params, world.store)
    with pytest.raises(RestException, match="99"):
        set_alias(world.client, world.params.model, "challenger", 99)
    assert world.aliases() == {"challenger": 1}
