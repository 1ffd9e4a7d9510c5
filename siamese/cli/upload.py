"""``siamese upload``: uploads local scenes or archives to raw storage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from siamese.cli.common import Json, emit


def upload(
    source: Annotated[Path, typer.Argument(metavar="DIR|ARCHIVE", help="Folder, or one file such as an archive.")],
    target: Annotated[str, typer.Argument(metavar="S3_PREFIX", help="Where it goes, such as s3://raw/scenes.")],
    workers: Annotated[int, typer.Option(min=1, max=64, help="Files, or parts of a large file, sent at once.")] = 8,
    as_json: Json = False,
) -> None:
    """Upload scenes to raw storage, where `siamese ingest` finds them.

    Every file is sent with its sha256, which storage verifies. Run it again after an interruption: files that are
    already there are skipped, and a large file resumes from the last part sent. Archives are sent as they are.
    """
    from rich.text import Text

    from siamese.ingest import upload as run
    from siamese.store import ObjectStore, S3Uri

    report = run(source, S3Uri.parse(target), ObjectStore(), workers=workers)
    sent = report.files - report.skipped
    text = (
        f"{report.files:,} files, {report.bytes:,} bytes at {report.target}: "
        f"{sent:,} sent ({report.sent_bytes:,} bytes), {report.skipped:,} skipped, there already"
    )
    emit(report, Text(text), as_json=as_json)
