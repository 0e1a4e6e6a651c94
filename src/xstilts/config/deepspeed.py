"""From a DeepSpeed JSON to a checked configuration.

DeepSpeed itself takes an unknown top-level key in silence and falls back to defaults that change the numbers; here
every key is known, or the file is refused with the nearest one.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from xstilts.config.deepspeed_schema import FILLED_IN, REFUSED, DeepSpeedFile
from xstilts.core.errors import UserError, did_you_mean

SHIPPED = Path(__file__).resolve().parents[1] / "ds_configs"
"""The folder whose files are known by name; in a checkout a link to the one at its top."""

Precision = Literal["fp32", "bf16", "fp16"]
Offload = Literal["none", "optimizer", "optimizer+param"]


@dataclass(frozen=True)
class DeepSpeedJson:
    """A checked file; `values` goes to `deepspeed.initialize` once gradient_clipping is set in it."""

    path: Path
    values: dict[str, Any]
    zero_stage: int
    precision: Precision
    offload: Offload

    def check_device(self, device: str) -> None:
        """Raises `UserError` if this precision does not run on `device` (`cpu`, `cuda`, ...)."""
        if device == "cpu" and self.precision == "fp16":
            raise UserError.at(self.path, "fp16", "DeepSpeed has no fp16 on the CPU", "take a bf16 or an fp32 file")

    def unasked_cpu(self, device: str) -> str | None:
        """What to say loudly where a file for GPUs computes on a CPU that nobody asked for; None elsewhere."""
        if device != "cpu" or os.environ.get("DS_ACCELERATOR") == "cpu" or self.path.stem.endswith("_cpu"):
            return None
        remedy = "look at nvidia-smi, or set DS_ACCELERATOR=cpu if that is meant"
        return f"no accelerator was found, so {self.path.name} computes on the CPU; {remedy}"


def shipped_deepspeed_configs() -> list[str]:
    """Names of the files in `ds_configs/`."""
    return sorted(path.stem for path in SHIPPED.glob("*.json"))


def load_deepspeed_config(path_or_name: str) -> DeepSpeedJson:
    """Reads and checks `ds_configs/<name>.json` or the file at a path.

    What the trainer needs and the file leaves out is filled in: gradients are accumulated in fp32, and at stage 1
    exchanged in it, the trainer calls the step, a micro-batch is one packed row. Raises `UserError`, one line, at the
    first thing that is wrong.
    """
    path = _find(path_or_name)
    text, raw = _read(path)
    try:
        checked = DeepSpeedFile.model_validate(raw)
    except ValidationError as error:
        raise _explain(path, text, error) from None
    precision: Precision = "bf16" if checked.bf16.enabled else "fp16" if checked.fp16.enabled else "fp32"
    values = {**FILLED_IN, **raw}
    if precision != "fp32":
        values["data_types"] = {"grad_accum_dtype": "fp32"}
    if checked.wall_clock_breakdown or checked.dump_state or checked.comms_logger.enabled:
        values.setdefault("log_level", "info")  # DeepSpeed logs what was asked for there, and the trainer silences it
    zero = checked.zero_optimization
    if precision != "fp32" and zero.stage == 1:
        # By DeepSpeed's own default what was added up in fp32 is rounded before the update, on one rank too.
        values.setdefault("communication_data_type", "fp32")
    if fault := _fault(checked, precision):
        place, problem, remedy = fault
        raise UserError.at(path, _line(text, place), f"{place}: {problem}", remedy)
    offload: Offload = "optimizer+param" if zero.offload_param else "optimizer" if zero.offload_optimizer else "none"
    return DeepSpeedJson(path, values, zero.stage, precision, offload)


def _find(path_or_name: str) -> Path:
    shipped = SHIPPED / f"{path_or_name}.json"
    if shipped.is_file():
        return shipped
    path = Path(path_or_name)
    if path.is_file():
        return path
    known = did_you_mean(path_or_name, shipped_deepspeed_configs())
    raise UserError(f"no DeepSpeed JSON '{path_or_name}': neither a file nor a name in {SHIPPED.name}/; {known}")


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    """The file's text and its object; a key that stands twice is an error, as the earlier one would be lost."""
    text = ""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise UserError.at(path, _line(text, twice), f"'{twice}' stands twice in one object", "keep one")
        return found

    try:
        text = path.read_text(encoding="utf-8")
        raw = json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise UserError.at(path, error.lineno, f"not JSON ({error.msg})", "mend the line") from None
    except UnicodeDecodeError as error:
        raise UserError.at(path, None, f"not UTF-8 at byte {error.start}", "save the file as UTF-8") from None
    if not isinstance(raw, dict):
        raise UserError.at(path, 1, "a DeepSpeed configuration is a JSON object", "start from a file in ds_configs/")
    return text, raw


def _fault(checked: DeepSpeedFile, precision: Precision) -> tuple[str, str, str] | None:
    """(place, problem, remedy) of settings that are right one by one and wrong together."""
    zero = checked.zero_optimization
    if checked.bf16.enabled and checked.fp16.enabled:
        return "fp16", "bf16 and fp16 are both on", "keep one"
    if precision != "fp32" and zero.stage == 0:
        return precision, "at ZeRO stage 0 DeepSpeed accumulates in half precision and drifts", "use stage 1"
    if zero.overlap_comm and zero.stage < 2:
        place = "zero_optimization.overlap_comm"
        return place, f"stage {zero.stage} reduces once, at the step", "remove it or use stage 2"
    if zero.offload_optimizer and zero.stage == 0:
        return "zero_optimization.offload_optimizer", "stage 0 cannot offload", "use stage 1, 2 or 3"
    if zero.offload_param and zero.stage != 3:
        return "zero_optimization.offload_param", "only stage 3 offloads parameters", "use stage 3 or remove it"
    if zero.offload_param and not zero.offload_optimizer:
        return "zero_optimization.offload_param", "the optimizer is not offloaded", "add offload_optimizer"
    if zero.offload_optimizer and zero.offload_optimizer.ratio < 1 and zero.stage != 3:
        return "zero_optimization.offload_optimizer.ratio", "only stage 3 offloads a part", "use stage 3 or remove it"
    return None


def _explain(path: Path, text: str, error: ValidationError) -> UserError:
    detail = error.errors(include_url=False)[0]
    keys = [key for key in detail["loc"] if isinstance(key, str)]
    dotted = ".".join(keys)
    line = _line(text, dotted)
    if detail["type"] == "extra_forbidden" and dotted in REFUSED:
        return UserError.at(path, line, f"'{dotted}' may not be set", REFUSED[dotted])
    if detail["type"] == "extra_forbidden":
        return UserError.at(path, line, f"unknown key '{dotted}'", did_you_mean(keys[-1], _known_keys(keys[:-1])))
    if detail["input"] == "auto":
        return UserError.at(path, line, f'{dotted}: nothing fills in "auto" here', "write a value or remove it")
    if detail["type"] == "missing":
        return UserError.at(path, line, f"'{dotted}' is missing", "add it")
    message = detail["msg"].removeprefix("Value error, ")
    problem = f"{dotted}: {_lower(message)} (found {json.dumps(detail['input'])})"
    doc = _section(keys[:-1]).model_fields[keys[-1]].description
    return UserError.at(path, line, problem, f"remove it: {_lower(doc)}" if doc else "mend the value or remove it")


def _lower(sentence: str) -> str:
    """A sentence as part of another one."""
    return sentence[0].lower() + sentence[1:].rstrip(".")


def _section(keys: list[str]) -> type[BaseModel]:
    """The model at a place in the schema; `X | None` counts as X."""
    model: type[BaseModel] = DeepSpeedFile
    for key in keys:
        annotation = model.model_fields[key].annotation
        options = [annotation, *getattr(annotation, "__args__", ())]
        model = next(option for option in options if isinstance(option, type) and issubclass(option, BaseModel))
    return model


def _known_keys(keys: list[str]) -> list[str]:
    """Every key of DeepSpeed's at a place, also those that are refused: a typo of one leads to its reason."""
    here = "".join(f"{key}." for key in keys)
    refused = [key.removeprefix(here) for key in REFUSED if key.startswith(here)]
    return [*_section(keys).model_fields, *(key for key in refused if "." not in key)]


def _line(text: str, dotted: str) -> int | None:
    """Line of a dotted key: each part is looked for after the one that holds it."""
    at = 0
    for key in dotted.split("."):
        match = re.compile(rf'"{re.escape(key)}"\s*:').search(text, at)
        if match is None:
            break
        at = match.start()
    return text.count("\n", 0, at) + 1 if at else None
