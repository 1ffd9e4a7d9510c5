"""What storage's own errors mean to a person. Made by hand: a server's disk cannot be filled in a test."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from siamese.errors import TransientError
from siamese.store import S3Uri
from siamese.store.objects import translated


@pytest.mark.parametrize("code", ["InternalError", "500", "507", "XMinioStorageFull"])
def test_a_server_that_fails_inside_is_tried_again_and_its_disk_is_to_be_looked_at(code: str) -> None:
    told = translated(ClientError({"Error": {"Code": code, "Message": "no"}}, "PutObject"), S3Uri("lake", "a"))
    assert isinstance(told, TransientError)
    assert "s3://lake/a" in str(told)
    assert "disk of the storage server is full" in str(told)


def test_what_else_fails_asks_to_check_settings_and_network() -> None:
    told = translated(ClientError({"Error": {"Code": "SlowDown", "Message": "no"}}, "PutObject"), S3Uri("lake", "a"))
    assert isinstance(told, TransientError)
    assert "check the AWS settings and the network" in str(told)
