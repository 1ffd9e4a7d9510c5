"""The step that both chains begin with: checking the scenes on the bucket."""

from __future__ import annotations

from flows.steps import join_run, step
from siamese.store import S3Uri


@step
def ingest_scenes(run: str) -> str:
    """Checks every scene under the source; returns the SceneCatalog's digest."""
    from siamese.ingest import ingest

    store, params = join_run(run)
    catalog = ingest(S3Uri.parse(params.ingest.source), params.ingest, store, reuse_older=not params.runs.redo_older)
    catalog.mark_latest(store)
    return catalog.digest
