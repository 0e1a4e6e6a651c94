"""Rows and run directories made by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from xstilts.evaluation.rows import Row
from xstilts.study.provenance import Expected, Host, Launch, Parameters, Run, Settings, Source

NONE = Row(
    arm="none",
    stage="s",
    task="xquad",
    language="swh_Latn",
    split="test",
    metric="squad_f1",
    value=20.0,
    low=18.0,
    high=22.5,
    chance=5.0,
    majority=21.0,
    num_examples=50,
    seed=0,
    seeds="0",
    selection="last",
    primary=True,
    precision="fp32",
)


def record(folder: Path, **fields: Any) -> Path:
    """Writes a `run.json` of a study with arms `none` and `mixed`, two seeds, and XQuAD in two languages."""
    source = Source(commit="0123456789abcdef" + "0" * 24, dirty=True, unknown_because=None, digest="d")
    launch = Launch(
        start=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        end=datetime(2026, 1, 2, 5, 6, tzinfo=UTC),
        exit=0,
        reason="",
        world_size=2,
        hosts=[Host(name="node-0", ranks=[0, 1], devices=["cpu: some"])],
        overrides=[],
        precision="fp32",
        settings="s",
        versions={"xstilts": "0.1", "torch": "2.13", "deepspeed": "0.19"},
        source=source,
    )
    targets = {"xquad": ["swh_Latn", "yor_Latn"]}
    given = {
        "name": "study",
        "title": "A study",
        "baseline": "none",
        "precision": "fp32",
        "caveats": [],
        "expected": Expected(arms=["none", "mixed"], targets=targets, seeds=[0, 1]),
        "parameters": Parameters(encoder=1, embeddings=1, heads={}),
        "settings": Settings(recipe={}, deepspeed_file="f", deepspeed={}),
        "checkpoint": None,
        "format": 1,
        "launches": [launch.model_copy(update=each) for each in fields.pop("launches", [{}])],
        "earlier": {},
    }
    (folder / "run.json").write_text(Run(**{**given, **fields}).model_dump_json())
    return folder
