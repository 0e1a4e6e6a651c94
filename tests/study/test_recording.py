"""What `run.json` says of a run: before it, while it runs, and however it ends."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xstilts.config.recipe import Recipe
from xstilts.core.errors import DiskFullError, UserError
from xstilts.distributed import heartbeat
from xstilts.study import recording, run, train_stage
from xstilts.study.open import open_study
from xstilts.study.provenance import Run, read_run
from xstilts.study.run import run_study
from xstilts.study.status import read_status
from xstilts.training.monitors.preemption import Preempted

pytestmark = pytest.mark.usefixtures("one_rank")

MakeRecipe = Callable[..., Recipe]

TATOEBA = {"tatoeba": {"languages": ["qaa_Latn"]}}


@pytest.fixture
def launch(recipe: MakeRecipe, tmp_path: Path) -> Callable[..., Run]:
    """Runs a study of one stage in `tmp_path`; returns what `run.json` says then."""

    def made(*overrides: str, **sections: Any) -> Run:
        arms = {"none": [], "pairs": [{"tasks": ["mnli"]}]}
        given = recipe(**{"pretraining": [], "arms": arms, "targets": TATOEBA, **sections})
        run_study(open_study(given, tmp_path, device="cpu"), overrides)
        return told(tmp_path)

    return made


def told(folder: Path) -> Run:
    found = read_run(folder)
    assert found is not None
    return found


def test_it_says_what_was_run(launch: Callable[..., Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = launch("training.lr=1e-3", title="A title", baseline="pairs", seeds=[3])
    assert (found.name, found.title, found.baseline, found.precision) == ("tiny", "A title", "pairs", "fp32")
    assert found.expected.model_dump() == {
        "arms": ["none", "pairs"],
        "targets": {"tatoeba": ["qaa_Latn"]},
        "seeds": [3],
        "without": {},
    }
    # Resolved: the default of a section that the recipe does not have, and the training that an arm inherits.
    assert found.settings.recipe["training"]["betas"] == [0.9, 0.999]
    assert found.settings.recipe["arms"]["pairs"][0]["training"]["lr"] == 1e-3
    assert found.settings.deepspeed["zero_optimization"]["stage"] == 1
    assert Path(found.settings.deepspeed_file).name == "zero1_fp32_cpu.json"
    assert [(stage.label, stage.seed, stage.num_steps) for stage in found.stages] == [("pairs", 3, 2)]
    status = read_status(tmp_path)
    assert (status.running, status.num_results, status.num_expected) == (False, 2, 2)
    assert [(stage.id, stage.state, stage.step) for stage in status.stages] == [(found.stages[0].id, "done", 2)]
    assert status.last_event.startswith("scored pairs -> tatoeba seed 3 in ")
    lines = capsys.readouterr().out.splitlines()
    size = (found.parameters.encoder + found.parameters.embeddings) / 1e6
    assert lines[0].startswith("computes in fp32 (zero1_fp32_cpu.json) on cpu: ")
    assert lines[0].endswith(f"; {size:,.1f} M parameters without heads") and ", 1 rank on " in lines[0]
    assert any(line.startswith("result 2 of 2: pairs -> tatoeba seed 3: top1 ") for line in lines)
    (only,) = found.launches
    assert (only.exit, only.reason, only.world_size, only.overrides) == (0, "", 1, ["training.lr=1e-3"])
    assert only.end is not None and only.start <= only.end
    ((host,),) = (only.hosts,)
    assert host.name and host.ranks == [0] and host.devices[0].startswith("cpu: ")
    assert {"python", "torch", "deepspeed", "transformers", "tokenizers", "numpy", "xstilts"} <= only.versions.keys()
    assert only.versions["nccl"] is None


def test_parameters_by_hand(launch: Callable[..., Run], recipe: MakeRecipe, tmp_path: Path) -> None:
    pairs = [{"tasks": ["mnli", "mlm_text"]}]
    found = launch(arms={"none": [], "pairs": pairs}).parameters
    vocabulary = open_study(recipe(), tmp_path, device=None).catalogue.tokenizer.vocab_size
    # Width 16, feed-forward 32, two layers, 514 positions, one token type.
    assert found.embeddings == 16 * (vocabulary + 514 + 1) + 2 * 16
    assert found.encoder == 2 * (4 * (16 * 16 + 16) + 2 * 16 + (16 * 32 + 32) + (32 * 16 + 16) + 2 * 16)
    # A dense layer and three classes; a dense layer, its norm, and a bias per piece beside the tied matrix.
    assert found.heads == {"mnli": 16 * 16 + 16 + 16 * 3 + 3, "mlm_text": 16 * 16 + 16 + 2 * 16 + vocabulary}


def test_it_is_there_before_anything_is_trained(launch: Callable[..., Run], tmp_path: Path) -> None:
    seen = []

    def look(*_: Any, **__: Any) -> Any:
        seen.append(told(tmp_path).launches[-1])
        raise RuntimeError("some\nrank")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_stage, "train", look)
        with pytest.raises(RuntimeError):
            launch()
    assert [(one.end, one.exit) for one in seen] == [(None, None)]


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (UserError("a mistake; mend it"), 2, "a mistake; mend it"),
        (Preempted(), 75, "asked to stop"),
        (DiskFullError("full"), 74, "full"),
        (RuntimeError("some\nrank"), 1, "some rank"),
        (RuntimeError(), 1, "RuntimeError"),
        (KeyboardInterrupt(), 130, "KeyboardInterrupt"),
    ],
    ids=repr,
)
def test_it_says_how_a_launch_ended(
    launch: Callable[..., Run], tmp_path: Path, error: BaseException, code: int, reason: str
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_stage, "train", fail)
        with pytest.raises(type(error)):
            launch()
    (last,) = told(tmp_path).launches
    assert (last.exit, last.reason) == (code, reason)
    assert last.end is not None
    assert [one.exit for one in launch().launches] == [code, 0]


def test_an_end_that_the_heartbeat_makes_is_told(launch: Callable[..., Run], tmp_path: Path) -> None:
    """The process ends at once then, wherever its main thread is."""
    beating = heartbeat.Heartbeat(environment={})

    def end(*_: Any, **__: Any) -> Any:
        beating._termination._report(76, "no progress", False)
        seen.append(told(tmp_path).launches[-1])

    seen: list[Any] = []
    with beating, pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "publish_rows", end)
        launch(arms={"none": []})
    assert {(one.exit, one.reason) for one in seen} == {(76, "no progress")}
    # What comes after it was not the end.
    assert told(tmp_path).launches[-1].exit == 76


def test_a_launch_that_was_killed_keeps_its_end_open_and_that_is_said(
    launch: Callable[..., Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recording._LaunchRecord, "end", lambda *_: None)
        start = launch().launches[0].start
    capsys.readouterr()
    assert [one.exit for one in launch().launches] == [None, 0]
    assert f"the launch of {start.isoformat(timespec='seconds')} did not say how it ended" in capsys.readouterr().out
    launch()
    assert "did not say" not in capsys.readouterr().out


def test_settings_of_earlier_launches_are_kept_once(launch: Callable[..., Run]) -> None:
    first = launch()
    launch()
    other = launch(arms={"none": []})
    assert other.settings.recipe["arms"] == {"none": []}
    assert [one.settings for one in other.launches[:2]] == list(other.earlier) * 2
    assert list(other.earlier.values()) == [first.settings]
    again = launch()
    assert again.settings == first.settings
    assert list(again.earlier.values()) == [other.settings]


def test_a_damaged_one_is_put_aside_aloud(
    launch: Callable[..., Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    launch()
    (tmp_path / "run.json").write_text('{"format": 2}')
    with pytest.raises(UserError, match=r"run\.json: .*; remove the file: the next launch writes it anew"):
        read_run(tmp_path)
    assert len(launch().launches) == 2, "each has a file of its own"
    assert (tmp_path / "run.damaged.json").read_text() == '{"format": 2}'
    assert "begun anew, the old one is" in capsys.readouterr().out
    (damaged,) = [path for path in (tmp_path / "launches").iterdir() if told(tmp_path).launches[0].id in path.name]
    damaged.write_text("{}")
    with pytest.raises(UserError, match=rf"{damaged.name}: .*; remove the file"):
        read_run(tmp_path)
    assert len(launch().launches) == 3, "of the damaged one run.json still tells"


def test_launches_at_the_same_time_are_all_told_of(launch: Callable[..., Run], tmp_path: Path) -> None:
    launch()
    alone = (tmp_path / "run.json").read_bytes()
    other = launch("title=other", title="other")
    (tmp_path / "run.json").write_bytes(alone)  # by one that has not seen the other
    assert told(tmp_path) == other
    assert [one.overrides for one in other.launches] == [[], ["title=other"]]


def test_a_run_json_of_a_version_without_files_of_launches_is_gone_on_with(
    launch: Callable[..., Run], tmp_path: Path
) -> None:
    before = launch()
    shutil.rmtree(tmp_path / "launches")
    assert told(tmp_path) == before
    assert launch().launches[0] == before.launches[0]


def test_no_secret_is_in_it(launch: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "q7xV2mZk9T"
    monkeypatch.setenv("HUB_TOKEN", secret)
    launch(f"title={secret}", "model.tokenizer=https://me:pa55word@example.org/x", title=f"with {secret}")
    text = (tmp_path / "run.json").read_text()
    assert secret not in text and "pa55word" not in text
    assert told(tmp_path).launches[0].overrides == ["title=***", "model.tokenizer=https://***@example.org/x"]


def test_a_stage_says_what_it_was_made_from(launch: Callable[..., Run], tmp_path: Path) -> None:
    mlm = {"tasks": ["mlm_text"], "languages": ["eng_Latn", "qaa_Latn"]}
    dev = {"steps": 2, "batch_size": 4, "lr": 2e-3, "dev": {"every": 1, "num_examples": 5}}
    launch(pretraining=[mlm], arms={"none": [], "pairs": [{"tasks": ["mnli"], "training": dev}]})
    records = [json.loads(path.read_text()) for path in tmp_path.glob("stages/*/stage.json")]
    first, second = sorted(records, key=lambda record: len(record["origin"]["parents"]))
    assert first["origin"]["parents"] == []
    assert second["origin"]["parents"] == [{"id": first["origin"]["id"], "label": "pretraining"}]
    assert (tmp_path / "stages" / second["origin"]["id"]).is_dir()
    assert second["origin"]["hyperparameters"]["training"]["lr"] == 2e-3
    assert first["origin"]["hyperparameters"]["languages"] == ["eng_Latn", "qaa_Latn"]
    assert second["origin"]["deepspeed"]["gradient_clipping"] == 1.0
    assert second["origin"]["deepspeed"]["zero_optimization"]["stage"] == 1
    assert first["origin"]["model"]["config"]["hidden_size"] == 16

    def parts(record: dict[str, Any]) -> list[tuple[Any, ...]]:
        return [
            tuple(part[key] for key in ("task", "split", "language", "num_rows")) for part in record["origin"]["data"]
        ]

    assert parts(first) == [("mlm_text", "train", "eng_Latn", 40), ("mlm_text", "train", "qaa_Latn", 40)]
    assert parts(second) == [("mnli", "train", "eng_Latn", 40), ("mnli", "dev", "eng_Latn", 12)]
    digests = [part["digest"] for record in (first, second) for part in record["origin"]["data"]]
    assert len(set(digests)) == 4
