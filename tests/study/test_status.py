"""How far a run is, read from files that are made here by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from xstilts import cli
from xstilts.core.errors import UserError
from xstilts.study.lease import Leases
from xstilts.study.owner import Presence, Watch
from xstilts.study.status import read_status
from xstilts.study.status_text import describe_status

NOW = 2_000_000.0
ARM = "english.and-a-very-long-name-of-an-arm-that-somebody-has-named"


def write_lines(path: Path, records: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def steps(first: int, last: int, begin: float, seconds: float, tokens: int) -> list[dict[str, Any]]:
    """Steps from `first` on, of which each takes half of the `seconds` from one to the next."""
    return [
        {"step": n, "loss": 2.0, "tokens": tokens, "seconds": seconds / 2, "time": begin + seconds * (n - first)}
        for n in range(first, last + 1)
    ]


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """Two arms, two targets: pretraining and a target are done, the same target is trained behind the other arm after
    an interruption, and one stage is to come."""
    stages = [
        {"id": "aa", "label": "pretraining", "seed": 0, "num_steps": 100},
        {"id": "bb", "label": "none.udpos", "seed": 0, "num_steps": 50},
        {"id": "cc", "label": f"{ARM}.udpos", "seed": 0, "num_steps": 50},
        {"id": "dd", "label": f"{ARM}.xcopa", "seed": 0, "num_steps": 10},
    ]
    host = {"name": "node1", "ranks": [0, 1], "devices": ["NVIDIA H100 80GB HBM3"]}
    launch = {
        **{"start": "1970-01-24T03:00:00Z", "end": None, "exit": None, "reason": "", "world_size": 2},
        **{"hosts": [host], "overrides": [], "precision": "bf16", "settings": "x", "versions": {}},
        "source": {"commit": None, "dirty": None, "unknown_because": None, "digest": ""},
    }
    run = {
        **{"name": "tiny", "title": "A title", "baseline": "none", "precision": "bf16", "caveats": []},
        "expected": {"arms": ["none", ARM], "targets": {"udpos": ["eng_Latn", "swh_Latn"]}, "seeds": [0]},
        "parameters": {"encoder": 1, "embeddings": 1, "heads": {}},
        "settings": {"recipe": {}, "deepspeed_file": "", "deepspeed": {}},
        **{"checkpoint": None, "format": 1, "launches": [launch], "earlier": {}, "stages": stages},
    }
    (tmp_path / "run.json").write_text(json.dumps(run), encoding="utf-8")
    begin = {"event": "pretraining seed 0: starting", "after_step": 0, "time": NOW - 5000}
    write_lines(tmp_path / "stages/aa/steps.jsonl", [begin, *steps(1, 100, NOW - 5000, 3.0, 600)])
    write_lines(tmp_path / "stages/bb/steps.jsonl", steps(1, 40, NOW - 3000, 2.0, 600))
    for done in ("aa", "bb"):
        (tmp_path / f"stages/{done}/stage.json").write_text("{}", encoding="utf-8")
    resumed = {"event": f"{ARM}.udpos seed 0: continuing after step 10", "after_step": 10, "time": NOW - 100}
    dev = {"step": 20, "dev": 71.25, "dev_tasks": {}, "best": True, "time": NOW - 5}
    records = [*steps(1, 10, NOW - 2000, 9.0, 100), resumed, *steps(11, 20, NOW - 60, 4.0, 800), dev]
    write_lines(tmp_path / "stages/cc/steps.jsonl", records)
    (tmp_path / "stages/cc/checkpoints/step-00000010").mkdir(parents=True)
    rows = [{"arm": "none", "task": "udpos", "seed": 0, "language": key} for key in ("eng_Latn", "swh_Latn")]
    write_lines(tmp_path / "results.jsonl", [*rows, {**rows[0], "arm": ARM}])
    write_lines(tmp_path / "progress.jsonl", [{"scored": "none -> udpos seed 0", "seconds": 7.0, "time": NOW - 2900}])
    return tmp_path


def begin(run_dir: Path, host: str, **held: str) -> Presence:
    """A launch that works in the run directory, on `host`, at what it holds: kind -> key."""
    presence = Presence(run_dir, 60, "study")
    presence.begin(lambda: None)
    leases = Leases(run_dir, presence, Watch(run_dir, 60))
    for kind, key in held.items():
        assert leases.take(kind, key, {"stage": f"{ARM}.udpos seed 0"}.get(kind, "none -> udpos seed 0"))
    run = json.loads((run_dir / "run.json").read_text(encoding="utf-8"))
    launch = run["launches"][0]
    run["launches"].append({**launch, "id": presence.id, "hosts": [{**launch["hosts"][0], "name": host}]})
    (run_dir / "run.json").write_text(json.dumps(run), encoding="utf-8")
    return presence


@pytest.fixture
def held(run_dir: Path) -> Iterator[Path]:
    """A launch works in the run directory."""
    presence = begin(run_dir, "node1", stage="cc")
    yield run_dir
    presence.end()


def test_a_running_study(held: Path) -> None:
    found = read_status(held, NOW)
    assert found.running and found.end == ""
    assert [stage.state for stage in found.stages] == ["done", "done", "training", "to do"]
    assert (found.num_results, found.num_expected) == (1, 2)
    trained = found.stages[2]
    # Only steps behind the interruption count: 800 tokens in 2 s of work, a step every 4 s, 30 steps left.
    assert (trained.step, trained.saved_step, trained.tokens_per_s) == (20, 10, 400.0)
    assert (trained.seconds_per_step, trained.seconds_left) == (4.0, 120.0)
    # Of xcopa nothing was measured: 10 steps at the mean of 3, 2 and 4 s; scoring took 7 s and is to come once.
    assert found.seconds_left == pytest.approx(120 + 10 * 3 + 7)
    assert (found.last_time, found.last_event) == (NOW - 5, f"{ARM}.udpos seed 0: dev at step 20: 71.25 best so far")


def test_a_run_that_was_killed(run_dir: Path) -> None:
    found = read_status(run_dir, NOW)
    assert not found.running and found.end == "was killed: it did not say how it ended"
    assert [stage.state for stage in found.stages] == ["done", "done", "interrupted", "to do"]
    assert found.seconds_left is None
    assert "interrupted, saved at 10" in describe_status(found)


def test_several_launches_each_say_where_and_at_what(held: Path) -> None:
    scoring = begin(held, "node2", evaluation="udpos-0")
    starting = Presence(held, 60, "study")
    starting.begin(lambda: None)
    ended = begin(held, "node4", stage="dd")
    ended.end()
    with (held / "progress.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(json.dumps({"scoring": "none -> udpos seed 0", "languages": 2, "time": NOW}) + '\n{"cut sh')
    found = read_status(held, NOW)
    at = {launch.id: [each.key for each in launch.holds] for launch in found.launches}
    assert sorted(at.values()) == [[], ["cc"], ["udpos-0"]] and at[scoring.id] == ["udpos-0"]
    assert at[starting.id] == [] and ended.id not in at
    assert [stage.state for stage in found.stages] == ["done", "done", "training", "to do"]
    assert found.seconds_left == pytest.approx((120 + 10 * 3 + 7) / 3)
    assert found.last_event == "scoring none -> udpos seed 0 in 2 languages"
    said = " ".join(describe_status(found).split())
    assert f"node1: 2 ranks, NVIDIA H100 80GB HBM3 now {ARM}.udpos seed 0, step 20 of 50" in said
    assert "node2: 2 ranks, NVIDIA H100 80GB HBM3 now scoring none -> udpos seed 0" in said
    assert f"process {os.getpid()} now starts, or waits" in said and "3 launches" in said
    for presence in (scoring, starting):
        presence.end()


def test_a_stage_without_a_record_is_trained_where_it_is_held(run_dir: Path) -> None:
    presence = begin(run_dir, "node1", stage="dd")
    assert [stage.state for stage in read_status(run_dir, NOW).stages] == ["done", "done", "interrupted", "training"]
    presence.end()
    assert read_status(run_dir, NOW).stages[3].state == "to do"


def test_every_line_fits_80_columns_and_nothing_is_cut(held: Path) -> None:
    lines = describe_status(read_status(held, NOW)).splitlines()
    assert max(map(len, lines)) <= 80
    assert f"{ARM}.xcopa" in lines
    said = " ".join(" ".join(lines).split())
    for told in ("node1: 2 ranks, NVIDIA H100 80GB HBM3", "2 of 4 stages, 1 of 2 results", "400 tokens/s"):
        assert told in said


def test_the_command_imports_no_torch(held: Path) -> None:
    code = (
        "import sys; from xstilts.cli import main; code = main(['status', sys.argv[1], '--json']); "
        "assert 'torch' not in sys.modules and 'datasets' not in sys.modules; sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(held)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["stages"][2]["step"] == 20


def test_watching_ends_with_the_run(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status", str(run_dir), "--watch", "1"]) == 0
    assert "not running" in capsys.readouterr().out


def test_no_run_directory(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"run\.json: no such file; give the directory of a run"):
        read_status(tmp_path)
