"""One run, one set of params and of code; and which failures are tried again."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from mlflow.exceptions import MlflowException, RestException
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectHTTPStatusError
from prefect.states import Completed, Crashed, Failed

from flows import children
from flows.children import run_child
from flows.retries import time_may_heal
from flows.steps import begin_run, join_run, step
from siamese import runs, stages
from siamese.cli.app import main
from siamese.cli.follow import _news
from siamese.errors import SiameseError, TransientError
from siamese.params import Params
from siamese.runs import find_outcome, load_run, publish_outcome, publish_params, publish_run
from siamese.store import ObjectStore


def test_a_run_keeps_its_params_whatever_a_workers_folder_says(store: ObjectStore, worker: Path) -> None:
    run = begin_run.fn({"training.minutes": 7})
    (worker / "params.yaml").write_text("training: {minutes: 99}\n")
    assert join_run(run)[1].training.minutes == 7
    (worker / "params.yaml").unlink()
    assert join_run(run)[1].ingest.source == str(store.raw / "tiny")


def test_equal_params_and_code_make_one_specification(store: ObjectStore, worker: Path) -> None:
    before = begin_run.fn({})
    objects = list(store.list(store.lake))
    assert begin_run.fn({}) == before
    assert list(store.list(store.lake)) == objects
    assert begin_run.fn({}, source="s3://raw/other") != before


def test_a_specification_is_taken_as_it_is(store: ObjectStore, worker: Path) -> None:
    run = publish_run(Params(), store)
    assert begin_run.fn(run=run) == run
    with pytest.raises(SiameseError, match=r"changes training.minutes of a run that is specified already"):
        begin_run.fn({"training.minutes": 7}, run=run)
    with pytest.raises(SiameseError, match="no such run specification"):
        begin_run.fn(run="0" * 16)


def test_a_worker_of_other_stage_versions_refuses_in_one_line(
    store: ObjectStore, worker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin_run.fn({})
    older = stages.declared_versions() | {"pair-set": 41}
    monkeypatch.setattr(stages, "declared_versions", lambda: older)
    with pytest.raises(
        SiameseError, match=r"stage pair-set has version 41 here, but version \d+ in the run"
    ) as refused:
        join_run(run)
    assert "\n" not in str(refused.value)
    monkeypatch.setattr(stages, "declared_versions", lambda: {"pair-set": 1})
    with pytest.raises(SiameseError, match="has version unknown here"):
        join_run(run)


def test_a_specification_that_was_changed_is_refused(store: ObjectStore, worker: Path) -> None:
    run = begin_run.fn({})
    uri = store.lake / "runs" / run / "specification.json"
    content = json.loads(store.get(uri))
    content["params"]["training"]["minutes"] = 1
    store.put(uri, json.dumps(content).encode())
    with pytest.raises(SiameseError, match="is not what was published"):
        load_run(run, store)


def test_the_outcome_of_a_piece_of_work_is_that_of_the_first_to_finish(store: ObjectStore) -> None:
    work = {"verb": "train", "pairs": "a", "parent": None}
    assert find_outcome("1" * 16, work, store) is None
    assert publish_outcome("1" * 16, work, "first", store) == "first"
    assert publish_outcome("1" * 16, work, "second", store) == "first"
    assert find_outcome("1" * 16, work, store) == "first"
    assert find_outcome("1" * 16, work | {"pairs": "b"}, store) is None
    assert find_outcome("2" * 16, work, store) is None


def test_edits_in_a_working_copy_reach_no_run_until_they_are_published(
    store: ObjectStore, worker: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = worker / "params.yaml"
    file.write_text("training: {minutes: 5}\n")
    command("params", "--publish")
    file.write_text("training: {minutes: 99}\n")
    assert join_run(begin_run.fn({}))[1].training.minutes == 5
    assert join_run(begin_run.fn({"training.batch": 3}))[1].training.batch == 3
    publish_params(file, store, unless_published=True)
    assert join_run(begin_run.fn({}))[1].training.minutes == 5
    capfd.readouterr()
    command("params", "--published", "--json")
    assert json.loads(capfd.readouterr().out)["training"]["minutes"] == 5
    command("params", "--publish")
    assert join_run(begin_run.fn({}))[1].training.minutes == 99


def test_a_params_file_with_a_wrong_key_is_not_published(store: ObjectStore, worker: Path) -> None:
    (worker / "params.yaml").write_text("training: {minuets: 5}\n")
    with pytest.raises(SiameseError, match=r"training.minuets: unknown key"):
        publish_params(worker / "params.yaml", store)
    assert runs.published_params(store) is None


REQUEST = httpx.Request("GET", "http://127.0.0.1/api")


def answered(status: int) -> PrefectHTTPStatusError:
    return PrefectHTTPStatusError("told", request=REQUEST, response=httpx.Response(status, request=REQUEST))


def refused(status: int) -> ClientError:
    return ClientError({"Error": {"Code": "x"}, "ResponseMetadata": {"HTTPStatusCode": status}}, "GetObject")  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    "error",
    [
        TransientError("away"),
        ConnectionResetError(),
        EndpointConnectionError(endpoint_url="http://127.0.0.1"),
        ReadTimeoutError(endpoint_url="http://127.0.0.1"),
        httpx.ConnectError("away"),
        httpx.ReadTimeout("slow"),
        answered(503),
        answered(429),
        refused(500),
        RestException({"error_code": "INTERNAL_ERROR", "message": "database is locked"}),
        MlflowException("API request failed"),
    ],
)
def test_time_may_heal_a_server_that_is_away(error: Exception) -> None:
    assert time_may_heal(error)


@pytest.mark.parametrize(
    "error",
    [
        SiameseError("wrong"),
        TypeError("'NoneType' object is not subscriptable"),
        ValueError("shape"),
        KeyError("scene"),
        MemoryError(),
        FileNotFoundError("params.yaml"),
        answered(404),
        refused(403),
        RestException({"error_code": "INVALID_PARAMETER_VALUE", "message": "no such tag"}),
    ],
)
def test_time_heals_no_error_of_program_or_input(error: Exception) -> None:
    assert not time_may_heal(error)


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize(("error", "tries"), [(TypeError("bug"), 1), (TransientError("away"), 3)])
def test_a_task_is_tried_again_only_when_time_may_heal(error: Exception, tries: int) -> None:
    asked = []

    def work() -> None:
        asked.append(1)
        raise error

    with pytest.raises(type(error)):
        step(work).with_options(retries=2, retry_delay_seconds=0)()
    assert len(asked) == tries


@flow(name="child")
def child_flow(number: int) -> int:
    return number


@pytest.fixture
def deployment(prefect_server: None, monkeypatch: pytest.MonkeyPatch) -> str:
    """A deployment that no worker runs: the tests say how its runs end."""
    monkeypatch.setattr(children, "POLL_S", 0.01)
    with get_client(sync_client=True) as client:
        client.create_deployment(client.create_flow(child_flow), name="none")
    return "child/none"


def test_who_asks_again_waits_for_the_run_that_goes_on(deployment: str) -> None:
    with get_client(sync_client=True) as client:

        def ids() -> set[str]:
            return {str(run.id) for run in client.read_flow_runs() if "work:again" in run.tags}

        for _ in range(2):
            with pytest.raises(TransientError, match="has not ended after"):
                run_child(deployment, {"number": 1}, key="again", wait_s=0.02)
        (first,) = ids()
        client.set_flow_run_state(first, Crashed(), force=True)
        with pytest.raises(TransientError, match="has not ended after"):
            run_child(deployment, {"number": 1}, key="again", wait_s=0.02)
        (second,) = ids() - {first}
        client.set_flow_run_state(second, Failed(message="no such pair set"), force=True)


def test_how_a_child_ended_is_told_in_one_line(deployment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    started = children.run_deployment
    ends = [Completed(), Crashed(), Failed(message="no such pair set")]

    def started_and_ended(*given: object, **more: object) -> object:
        run = started(*given, **more)
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(run.id, ends.pop(0), force=True)
        return run

    monkeypatch.setattr(children, "run_deployment", started_and_ended)
    assert run_child(deployment, {"number": 1}, key="ends").state_name == "Completed"
    with pytest.raises(TransientError, match="crashed; run again"):
        run_child(deployment, {"number": 1}, key="ends")
    with pytest.raises(SiameseError, match="ended as Failed: no such pair set"):
        run_child(deployment, {"number": 1}, key="ends")
    with pytest.raises(SiameseError, match="no such deployment"):
        run_child("child/absent", {"number": 1}, key="ends")


def test_a_followed_run_tells_its_tasks_and_no_childs_random_name(
    deployment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = children.run_deployment

    def started_and_completed(*given: object, **more: object) -> object:
        run = started(*given, **more)
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(run.id, Completed(), force=True)
        return run

    monkeypatch.setattr(children, "run_deployment", started_and_completed)

    @flow(name="parent")
    def parent_flow() -> str:
        @step
        def child_on_its_pool() -> str:
            return run_child(deployment, {"number": 1}, key="followed").name

        name: str = child_on_its_pool()
        return name

    state = parent_flow(return_state=True)
    name = state.result()
    with get_client(sync_client=True) as client:
        parent = client.read_flow_run(state.state_details.flow_run_id)
        lines = [line.split(" ", 1)[1] for line in _news(client, parent, set())]
    assert [line.split(",")[0] for line in lines if "completed" in line] == ["child on its pool: completed"]
    assert not any(name.rsplit("-", 1)[0] in line for line in lines)


def command(*words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    assert ended.value.code == 0
