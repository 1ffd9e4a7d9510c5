"""Params of flow runs."""

from __future__ import annotations

from pydantic import Field

from siamese.params.section import Section


class RunsParams(Section):
    """How the flows ``retrain`` and ``damage_map`` treat what is already there."""

    redo_older: bool = Field(
        False,
        description="Make results again that an earlier version of their stage made. Without it they stay in use: an "
        "upgrade retrains nothing and redraws no map by itself.",
    )
