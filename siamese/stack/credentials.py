"""Credentials of the local S3 server: made once, kept readable by their owner alone."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from siamese.settings import read_stack_environment
from siamese.stack.layout import Layout, write_private

REGION = "us-east-1"


@dataclass(frozen=True)
class Credentials:
    """What signs requests to the local S3 server."""

    key: str
    secret: str

    @classmethod
    def kept_or_new(cls, layout: Layout) -> Credentials:
        """Those of the first start, or new ones."""
        kept = read_stack_environment(layout.home)
        key, secret = kept.get("AWS_ACCESS_KEY_ID"), kept.get("AWS_SECRET_ACCESS_KEY")
        return (
            cls(key, secret) if key and secret else cls(f"SIAMESE{secrets.token_hex(6).upper()}", secrets.token_hex(20))
        )


def write_aws_files(layout: Layout, credentials: Credentials, endpoint: str) -> None:
    """Writes credentials and config in the AWS format, for DVC and other tools that read no environment."""
    write_private(
        layout.aws_credentials,
        f"[default]\naws_access_key_id = {credentials.key}\naws_secret_access_key = {credentials.secret}\n",
    )
    write_private(
        layout.aws_config,
        f"[default]\nregion = {REGION}\nendpoint_url = {endpoint}\ns3 =\n    addressing_style = path\n",
    )
