"""`train.py import`: a checkpoint of `transformers`, fine-tuned elsewhere, as a stage that `evaluate` scores."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from transformers import XLMRobertaConfig

from xstilts.core.errors import UserError, reason_of
from xstilts.core.sealed import write_sealed
from xstilts.model.pretrained import local_folder
from xstilts.study.record import WEIGHTS, Origin, Record, write_record
from xstilts.tasks import Task
from xstilts.text.tokenizer import Tokenizer


def import_checkpoint(name_or_path: str, task: Task, to: Path, *, labels: Sequence[str], precision: str) -> Path:
    """Writes a stage folder `to` and returns it.

    Args:
        name_or_path: folder or hub id of an XLM-R checkpoint with a head.
        task: whose head that is.
        to: a folder that is not there yet, or empty.
        labels: the task's labels in the order of the head; empty: as the checkpoint names them.
        precision: what it is to be computed in: `fp32`, `bf16` or `fp16`.

    Raises:
        UserError: no such checkpoint, of another class than the task needs, or with other labels.
    """
    form = task.kind.transformers_head
    if form is None or not task.kind.scored:
        raise UserError(f"no checkpoint of transformers has a head that predicts '{task.name}'; name another task")
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise UserError.at(to, None, "is there already", "give another --to, or remove it")
    folder = local_folder(name_or_path)
    config, tensors = _load(folder, form.class_name)
    order = _labels(task, config, labels, folder)
    prefix = "roberta."
    own = {
        f"encoder.{name.removeprefix(prefix)}": tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix) and name not in form.names
    }
    own |= {f"heads.{task.name}.{name}": tensor for name, tensor in form.taken_in(tensors).items()}
    to.mkdir(parents=True, exist_ok=True)
    digest = write_sealed(to / WEIGHTS, own)
    id_ = hashlib.sha256(f"{task.name} {order} {digest}".encode()).hexdigest()[:12]
    name = folder.name if Path(name_or_path).is_dir() else name_or_path
    record = Record(
        label=f"{name}.{task.name}",
        tasks=[task.name],
        labels={task.name: order},
        seed=0,
        seeds="0",
        encoder=config.to_dict(),
        tokenizer=Tokenizer(str(folder)).fingerprint,
        num_steps=0,
        selected_step=0,
        selection="pretrained",
        dev_score=None,
        weights=digest,
        origin=Origin(
            id=id_,
            model={"pretrained": name, "tokenizer": name, "config": {}, "id": digest[:12]},
            parents=[],
            hyperparameters={},
            deepspeed={},
            randomness=0,
            continues=None,
            precision=precision,
            data=[],
        ),
    )
    write_record(to, record)
    return to


def _load(folder: Path, class_name: str) -> tuple[XLMRobertaConfig, Mapping[str, torch.Tensor]]:
    """Configuration and tensors; every one that the class has must be there, and no other."""
    remedy = f"give an XLM-R checkpoint of the class {class_name}"
    try:
        raw, _ = XLMRobertaConfig.get_config_dict(folder)
        if raw.get("model_type") != "xlm-roberta":
            problem = f"is {raw.get('model_type', 'no model')}, not xlm-roberta"
            raise UserError.at(folder, "config.json", problem, remedy)
        loaded: Any = getattr(transformers, class_name).from_pretrained(
            folder, use_safetensors=True, output_loading_info=True, ignore_mismatched_sizes=True, dtype=torch.float32
        )
    except UserError:
        raise
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError.at(folder, None, f"cannot be loaded ({reason_of(error)})", remedy) from None
    model, told = loaded
    for problem, names in (
        ("lacks", told["missing_keys"]),
        ("has another shape for", [key[0] for key in told["mismatched_keys"]]),
        ("has no place for", [name for name in told["unexpected_keys"] if not name.startswith("roberta.pooler.")]),
    ):
        if names:
            raise UserError.at(folder, None, f"{class_name} {problem} {sorted(map(str, names))[0]}", remedy)
    return model.config, {name: tensor.contiguous() for name, tensor in model.state_dict().items()}


def _labels(task: Task, config: XLMRobertaConfig, given: Sequence[str], folder: Path) -> list[str] | None:
    """The task's labels in the order of the head; letter case is the checkpoint's own affair."""
    if task.labels is None and not task.kind.collects_labels:
        return None
    num_labels, names = config.num_labels, {str(index): name for index, name in (config.id2label or {}).items()}
    assert num_labels is not None
    written = list(given) or [str(names[str(index)]) for index in range(num_labels)]
    known = {label.casefold(): label for label in task.labels or written}
    found = [known.get(label.casefold(), label) for label in written]
    if len(found) != num_labels or sorted(found) != sorted(known.values()):
        problem = f"its {num_labels} classes are {', '.join(written)}, not {', '.join(known.values())}"
        raise UserError.at(folder, None, problem, "say which is which in the order of its head: --labels A,B,...")
    return found
