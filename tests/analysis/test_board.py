"""TensorBoard's files, read back."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_runs import NONE, record
from matplotlib.image import imread
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from xstilts.analysis.board import write_arm, write_study
from xstilts.analysis.report import build
from xstilts.evaluation.rows import write_rows
from xstilts.study.provenance import Settings


def read(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder), size_guidance={"tensors": 0, "images": 0})
    found.Reload()
    return found


def scalars(board: EventAccumulator) -> dict[str, list[tuple[int, float]]]:
    return {
        tag: [(event.step, pytest.approx(event.value, rel=1e-6)) for event in board.Scalars(tag)]
        for tag in board.Tags()["scalars"]
    }


def text(board: EventAccumulator, tag: str) -> str:
    (event,) = board.Tensors(f"{tag}/text_summary")
    return str(event.tensor_proto.string_val[0].decode())


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    stage = {"tasks": ["mnli", "qqp"], "training": {"lr": 1e-5, "batch_size": 32, "steps": 40, "epochs": None}}
    recipe = {"name": "study", "title": "Größe", "arms": {"none": [], "mixed": [stage]}}
    record(tmp_path, settings=Settings(recipe=recipe, deepspeed_file="f", deepspeed={}))
    mixed = replace(NONE, arm="mixed", value=26.0, stage="t")
    rows = [NONE, replace(NONE, language="yor_Latn", value=30.0), mixed]
    rows += [replace(mixed, language="yor_Latn", value=29.0), replace(mixed, value=20.0, seed=3, stage="u")]
    write_rows(tmp_path / "results.jsonl", rows)
    parent = {"id": "p", "label": "mixed"}
    for stage_id, label, parents in (("p", "mixed", []), ("t", "mixed.xquad", [parent]), ("u", "mixed.xquad", [])):
        folder = tmp_path / "stages" / stage_id
        folder.mkdir(parents=True)
        origin: dict[str, Any] = {"origin": {"parents": parents}}
        (folder / "stage.json").write_text(json.dumps({"label": label, **origin}), encoding="utf-8")
        steps = [{"step": step, "loss": 4.0 if stage_id == "u" else float(step)} for step in range(1, 51)]
        (folder / "steps.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps), encoding="utf-8")
    return tmp_path


def test_an_arm_is_one_run(run_dir: Path) -> None:
    for _ in range(2):  # written anew, never twice
        write_arm(run_dir, "mixed")
    board = read(run_dir / "tensorboard" / "overview" / "arms" / "mixed")
    assert scalars(board) == {
        "xquad/swh_Latn": [(0, 23.0)],
        "xquad/yor_Latn": [(0, 29.0)],
        "score/xquad": [(0, 23.75)],
        "score by seed/xquad": [(0, 27.5), (3, 20.0)],
        # Of seed 0 the loss is the step, of seed 3 it is 4; there are 50 steps, which end within a window of 20.
        "loss/intermediate": [(20, 10.5), (40, 30.5), (50, 45.5)],
        "loss/xquad": [(20, 7.25), (40, 17.25), (50, 24.75)],
    }
    plugins = board.summary_metadata
    told = plugin_data_pb2.HParamsPluginData.FromString(
        plugins["_hparams_/session_start_info"].plugin_data.content
    ).session_start_info.hparams
    assert (told["arm"].string_value, told["tasks"].string_value) == ("mixed", "mnli+qqp")
    assert (told["lr"].number_value, told["steps"].number_value, told["seeds"].number_value) == (1e-5, 40, 2)
    assert "epochs" not in told
    experiment = plugin_data_pb2.HParamsPluginData.FromString(
        plugins["_hparams_/experiment"].plugin_data.content
    ).experiment
    assert [info.name.tag for info in experiment.metric_infos] == ["score/xquad"]


def test_the_study_is_another(run_dir: Path) -> None:
    write_study(run_dir, build([run_dir]))
    assert {path.name for path in (run_dir / "tensorboard" / "overview" / "arms").iterdir()} == {"none", "mixed"}
    board = read(run_dir / "tensorboard" / "overview" / "study")
    assert "    title: Größe" in text(board, "recipe")
    assert "2 ranks on node-0 (cpu: some)" in text(board, "environment")
    assert text(board, "answer") == "The recipe asks no question."
    (tag,) = board.Tags()["images"]
    (image,) = board.Images(tag)
    pixels = imread(io.BytesIO(image.encoded_image_string))
    assert pixels.shape[:2] == (image.height, image.width) and pixels.std() > 0.01
    # +6 in Swahili and -1 in Yoruba: the two ends of the palette, purple and orange, are both there.
    red, blue = pixels[..., 0], pixels[..., 2]
    assert (blue - red > 0.1).any() and (red - blue > 0.02).any()
