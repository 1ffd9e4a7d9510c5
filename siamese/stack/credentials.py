"""Credentials of the local stack: created once and readable by their owner only."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from siamese.settings import read_stack_environment
from siamese.stack.layout import Layout, write_private

REGION = "us-east-1"
USER = "siamese"


@dataclass(frozen=True)
class Credentials:
    """The key pair that signs requests to the local S3 server, and the password of Prefect and MLflow."""

    key: str
    secret: str
    password: str

    @property
    def login(self) -> str:
        """``user:password``, the form used by HTTP Basic authentication and Prefect's auth string."""
        return f"{USER}:{self.password}"

    @classmethod
    def kept_or_new(cls, layout: Layout) -> Credentials:
        """Returns the credentials created at the first start, or creates new ones."""
        kept = read_stack_environment(layout.home)
        key, secret = kept.get("AWS_ACCESS_KEY_ID"), kept.get("AWS_SECRET_ACCESS_KEY")
        if not (key and secret):
            key, secret = f"SIAMESE{secrets.token_hex(6).upper()}", secrets.token_hex(20)
        return cls(key, secret, kept.get("MLFLOW_TRACKING_PASSWORD") or secrets.token_hex(20))


def write_aws_files(layout: Layout, credentials: Credentials, endpoint: str) -> None:
    """Writes AWS credentials and config files, for DVC and other tools that ignore environment variables."""
    write_private(
        layout.aws_credentials,
        f"[default]\naws_access_key_id = {credentials.key}\naws_secret_access_key = {credentials.secret}\n",
    )
    write_private(
        layout.aws_config,
        f"[default]\nregion = {REGION}\nendpoint_url = {endpoint}\ns3 =\n    addressing_style = path\n",
    )


def write_login(layout: Layout, credentials: Credentials) -> None:
    """Writes the login for the servers' web pages as one human-readable line."""
    write_private(layout.login, f"{credentials.login}\n")
