"""The strict reader of DeepSpeed's JSON, against its documentation here and the installed DeepSpeed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from xstilts.config.deepspeed import load_deepspeed_config, shipped_deepspeed_configs
from xstilts.config.deepspeed_schema import (
    REFUSED,
    Bf16,
    DeepSpeedFile,
    Fp16,
    OffloadOptimizer,
    OffloadParam,
    ZeroOptimization,
)
from xstilts.core.errors import UserError


def refusal(tmp_path: Path, content: Any) -> str:
    """The one-line error for a file; its path is replaced by FILE."""
    path = tmp_path / "ds.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content, indent=2), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_deepspeed_config(str(path))
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(str(path), "FILE")


def load(tmp_path: Path, content: Any) -> Any:
    path = tmp_path / "ds.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return load_deepspeed_config(str(path))


@pytest.mark.parametrize("name", shipped_deepspeed_configs())
def test_a_shipped_file_is_what_its_name_says(name: str) -> None:
    config = load_deepspeed_config(name)
    stage, precision, *machine = name.split("_")
    assert stage == f"zero{config.zero_stage}"
    assert precision == config.precision
    assert (config.offload != "none") == (machine == ["offload"])
    assert config.values == json.loads(config.path.read_text(encoding="utf-8")), "a shipped file is complete"


def test_every_stage_and_precision_that_can_run_is_shipped() -> None:
    names = set(shipped_deepspeed_configs())
    assert {f"zero{stage}_fp32{machine}" for stage in range(4) for machine in ("", "_cpu")} <= names
    half = ("bf16", "fp16", "bf16_cpu", "bf16_offload")
    assert {f"zero{stage}_{kind}" for stage in (1, 2, 3) for kind in half} <= names


def test_what_the_trainer_needs_is_filled_in(tmp_path: Path) -> None:
    config = load(tmp_path, {"zero_optimization": {"stage": 2}, "bf16": {"enabled": True}})
    assert config.values["data_types"] == {"grad_accum_dtype": "fp32"}
    assert config.values["managed_gradient_accumulation"] is False
    assert config.values["train_micro_batch_size_per_gpu"] == 1
    assert config.values["zero_allow_untested_optimizer"] is True
    assert config.values["zero_force_ds_cpu_optimizer"] is False
    assert (config.zero_stage, config.precision, config.offload) == (2, "bf16", "none")


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_at_stage_1_what_was_added_up_in_fp32_is_exchanged_in_fp32(tmp_path: Path, precision: str) -> None:
    half = {precision: {"enabled": True}}
    assert load(tmp_path, {"zero_optimization": {"stage": 1}, **half}).values["communication_data_type"] == "fp32"
    assert "communication_data_type" not in load(tmp_path, {"zero_optimization": {"stage": 2}, **half}).values


def test_a_breakdown_that_was_asked_for_is_not_silenced(tmp_path: Path) -> None:
    assert load(tmp_path, {"wall_clock_breakdown": True}).values["log_level"] == "info"
    assert load(tmp_path, {"wall_clock_breakdown": True, "log_level": "debug"}).values["log_level"] == "debug"
    assert "log_level" not in load(tmp_path, {}).values


def test_the_file_is_not_changed_by_reading_it(tmp_path: Path) -> None:
    raw = {"zero_optimization": {"stage": 3, "reduce_bucket_size": 5e8}, "communication_data_type": "fp32"}
    values = load(tmp_path, raw).values
    assert {key: values[key] for key in raw} == raw


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"gradient_cliping": 1.0}, "FILE:2: unknown key 'gradient_cliping'; did you mean 'gradient_clipping'?"),
        (
            {"zero_optimization": {"stage": 2, "overlap_com": True}},
            "FILE:4: unknown key 'zero_optimization.overlap_com'; did you mean 'overlap_comm'?",
        ),
        (
            {"zero_optimization": {"stage": 2, "offload_optimizer": {"device": "cpu", "pin_mem": True}}},
            "FILE:6: unknown key 'zero_optimization.offload_optimizer.pin_mem'; did you mean 'pin_memory'?",
        ),
        (
            {"timers": {"throughput": {"enable": True}}},
            "FILE:4: unknown key 'timers.throughput.enable'; did you mean 'enabled'?",
        ),
        (
            {"gradient_clipping": 1.0},
            "FILE:2: 'gradient_clipping' may not be set; the recipe sets it: training.max_grad_norm",
        ),
        (
            {"train_batch_size": 32},
            "FILE:2: 'train_batch_size' may not be set; the recipe sets it: training.batch_size",
        ),
        ({"amp": {}}, "FILE:2: 'amp' may not be set; write bf16 or fp16"),
        ({"nebula": {}}, "FILE:2: 'nebula' may not be set; the trainer is not tested with it; remove it"),
        (
            {"zero_optimization": {"stage": 2, "zenflow": {}}},
            "FILE:4: 'zero_optimization.zenflow' may not be set; the trainer is not tested with it; remove it",
        ),
        ({"nebulla": {}}, "FILE:2: unknown key 'nebulla'; did you mean 'nebula'?"),
        (
            {"steps_per_print": 100},
            "FILE:2: steps_per_print: input should be None (found 100); "
            "remove it: every step is in steps.jsonl and TensorBoard, and runtime.log_every says which are printed",
        ),
        (
            {"bf16": {"enabled": True}},
            "FILE:2: bf16: at ZeRO stage 0 DeepSpeed accumulates in half precision and drifts; use stage 1",
        ),
        (
            {"zero_optimization": {"stage": 1}, "bf16": {"enabled": True}, "fp16": {"enabled": True}},
            "FILE:8: fp16: bf16 and fp16 are both on; keep one",
        ),
        (
            {"zero_optimization": {"stage": 1, "overlap_comm": True}},
            "FILE:4: zero_optimization.overlap_comm: stage 1 reduces once, at the step; remove it or use stage 2",
        ),
        (
            {"zero_optimization": {"stage": 2, "offload_param": {"device": "cpu"}}},
            "FILE:4: zero_optimization.offload_param: only stage 3 offloads parameters; use stage 3 or remove it",
        ),
        (
            {"zero_optimization": {"stage": "2"}},
            'FILE:3: zero_optimization.stage: input should be 0, 1, 2 or 3 (found "2"); mend the value or remove it',
        ),
        (
            {"zero_optimization": {"stage": True}},
            "FILE:3: zero_optimization.stage: a number is wanted (found true); mend the value or remove it",
        ),
        (
            {"zero_optimization": {"stage": 2, "reduce_bucket_size": "auto"}},
            'FILE:4: zero_optimization.reduce_bucket_size: nothing fills in "auto" here; write a value or remove it',
        ),
        (
            {"zero_optimization": {"stage": 1}, "bf16": {"enabled": True, "check_grad_overflow": False}},
            "FILE:7: bf16.check_grad_overflow: input should be True (found false); "
            "remove it: without it DeepSpeed puts a gradient that is not finite into the weights",
        ),
        (
            {"gradient_accumulation_steps": 4},
            "FILE:2: gradient_accumulation_steps: input should be 1 (found 4); "
            "remove it: the number of micro-batches in a step varies, and the trainer counts them",
        ),
        (
            '{"bf16": {"enabled": true},\n "bf16": {"enabled": false}}',
            "FILE:1: 'bf16' stands twice in one object; keep one",
        ),
        ('{"bf16":\n {"enabled" true}}', "FILE:2: not JSON (Expecting ':' delimiter); mend the line"),
        ("[]", "FILE:1: a DeepSpeed configuration is a JSON object; start from a file in ds_configs/"),
    ],
)
def test_a_mistake_is_one_line_with_place_and_remedy(tmp_path: Path, content: Any, message: str) -> None:
    assert refusal(tmp_path, content) == message


def test_half_precision_gradients_are_not_accumulated_in_half_precision(tmp_path: Path) -> None:
    content = {"zero_optimization": {"stage": 2}, "bf16": {"enabled": True}, "data_types": {"grad_accum_dtype": "bf16"}}
    assert "data_types.grad_accum_dtype: input should be 'fp32' (found \"bf16\")" in refusal(tmp_path, content)


def test_an_unknown_name_leads_to_the_nearest_shipped_file() -> None:
    with pytest.raises(UserError, match=r"no DeepSpeed JSON 'zero2_bf61'.*did you mean 'zero2_bf16'"):
        load_deepspeed_config("zero2_bf61")


def test_fp16_is_refused_on_the_cpu_only() -> None:
    config = load_deepspeed_config("zero2_fp16")
    config.check_device("cuda")
    with pytest.raises(UserError, match=r"zero2_fp16.json: fp16: DeepSpeed has no fp16 on the CPU; take"):
        config.check_device("cpu")
    load_deepspeed_config("zero2_bf16").check_device("cpu")


class _Recorder(dict[str, Any]):
    """Remembers every key that is looked for in it."""

    seen: set[str] = set()

    def __contains__(self, key: object) -> bool:
        self.seen.add(str(key))
        return super().__contains__(key)

    def __getitem__(self, key: str) -> Any:
        self.seen.add(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.seen.add(key)
        return super().get(key, default)

    def keys(self) -> Any:
        return self


def test_every_key_that_the_installed_deepspeed_reads_is_accepted_or_refused_by_name() -> None:
    from deepspeed.runtime.config import DeepSpeedConfig

    _Recorder.seen.clear()
    DeepSpeedConfig(_Recorder(train_micro_batch_size_per_gpu=1))
    assert "zero_optimization" in _Recorder.seen
    assert _Recorder.seen - DeepSpeedFile.model_fields.keys() - REFUSED.keys() == set()


def _sections() -> list[Any]:
    from deepspeed.runtime.precision_config import DeepSpeedBF16Config, DeepSpeedFP16Config
    from deepspeed.runtime.zero.config import DeepSpeedZeroConfig
    from deepspeed.runtime.zero.offload_config import (
        DeepSpeedZeroOffloadOptimizerConfig,
        DeepSpeedZeroOffloadParamConfig,
    )

    return [
        (ZeroOptimization, DeepSpeedZeroConfig, "zero_optimization"),
        (OffloadOptimizer, DeepSpeedZeroOffloadOptimizerConfig, "zero_optimization.offload_optimizer"),
        (OffloadParam, DeepSpeedZeroOffloadParamConfig, "zero_optimization.offload_param"),
        (Bf16, DeepSpeedBF16Config, "bf16"),
        (Fp16, DeepSpeedFP16Config, "fp16"),
    ]


def test_the_sections_hold_the_keys_and_defaults_of_the_installed_deepspeed() -> None:
    ours: type[BaseModel]
    for ours, theirs, name in _sections():
        keys = {field.alias or key: field for key, field in theirs.model_fields.items()}
        refused = {key.removeprefix(f"{name}.") for key in REFUSED if key.startswith(f"{name}.")}
        removed = {"mics_shard_size", "mics_hierarchical_params_gather", "zeropp_loco_param"}
        assert keys.keys() == ours.model_fields.keys() | {k for k in refused - removed if "." not in k}, name
        for key, field in ours.model_fields.items():
            if not field.is_required() and field.default is not None:
                assert field.default == keys[key].default, f"{name}.{key}"


@pytest.mark.parametrize(
    ("name", "device", "asked", "warned"),
    [
        ("zero2_bf16", "cpu", False, True),
        ("zero2_bf16", "cpu", True, False),
        ("zero2_bf16_cpu", "cpu", False, False),
        ("zero2_bf16", "cuda", False, False),
    ],
)
def test_a_cpu_that_nobody_asked_for_is_said(
    monkeypatch: pytest.MonkeyPatch, name: str, device: str, asked: bool, warned: bool
) -> None:
    if asked:
        monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    else:
        monkeypatch.delenv("DS_ACCELERATOR", raising=False)
    warning = load_deepspeed_config(name).unasked_cpu(device)
    assert (warning is not None) == warned
    assert warning is None or "zero2_bf16.json computes on the CPU; " in warning
