"""`train.py export`: a trained stage with one of its heads as a folder that `transformers` loads by itself."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
import transformers
from transformers import AutoTokenizer, PreTrainedModel, XLMRobertaConfig

from xstilts.core.errors import UserError, did_you_mean
from xstilts.core.provenance import read_provenance
from xstilts.core.sealed import read_sealed
from xstilts.exchange.card import write_card
from xstilts.model.adapters import adapter_widths
from xstilts.study.own_tasks import register_own_tasks
from xstilts.study.provenance import Run, read_run
from xstilts.study.record import WEIGHTS, Record, read_record
from xstilts.tasks import Task, find_task
from xstilts.text.tokenizer import Tokenizer, find_tokenizer


def export_stage(folder: Path, to: Path, *, head: str | None, tokenizer: str | None) -> Task:
    """Writes the folder `to`, whole or not at all, and returns the task whose head it has.

    Args:
        folder: a finished stage: `RUN_DIR/stages/ID`.
        to: a folder that is not there yet, or empty.
        head: task whose head is taken; None: the only one.
        tokenizer: folder or hub id; None: the one that the run names.

    Raises:
        UserError: weights, head or tokenizer are not there, the tokenizer is another than the stage was trained with,
            or `to` holds something.
    """
    record = read_record(folder)
    run_dir = folder.resolve().parents[1]
    run = read_run(run_dir)
    if run:
        register_own_tasks(run)
    if adapter_widths(XLMRobertaConfig.from_dict(dict(record.encoder))):
        problem = "its encoder has adapters, and transformers has no class for them"
        raise UserError.at(folder, None, problem, "export a stage trained without trainable.bottleneck in its arm")
    task = _head_of(record, head, folder)
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise UserError.at(to, None, "is there already", "give another --to, or remove it")
    path = folder / WEIGHTS
    if not path.is_file():
        remedy = "train it with runtime.keep_leaf_weights=true: those of target stages are dropped once they are scored"
        raise UserError.at(path, None, "the stage's weights are not there", remedy)
    named = _tokenizer_of(record, run, run_dir, tokenizer)
    tensors = read_sealed(path, "restore it or train the stage again", record.weights)
    model = _model(record, task, tensors)
    temporary = to.with_name(f".{to.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        model.save_pretrained(temporary)
        AutoTokenizer.from_pretrained(named).save_pretrained(temporary)
        write_card(temporary, record, task, read_provenance(run_dir))
        if to.exists():
            to.rmdir()
        temporary.rename(to)
    except OSError as error:
        raise UserError.at(to, None, f"cannot be written ({error.strerror or error})", "give another --to") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return task


def _head_of(record: Record, head: str | None, folder: Path) -> Task:
    names = [name for name in record.tasks if find_task(name).kind.transformers_head]
    if head is not None and head not in names:
        raise UserError(f"--head {head}: {folder} has no head of that task to export; {did_you_mean(head, names)}")
    if not names:
        kinds = ", ".join(f"{name} ({find_task(name).kind.name})" for name in record.tasks)
        raise UserError.at(folder, None, f"transformers has no class for its heads: {kinds}", "export another stage")
    if head is None and len(names) > 1:
        raise UserError.at(folder, None, f"has several heads: {', '.join(names)}", "choose one with --head TASK")
    return find_task(head or names[0])


def _tokenizer_of(record: Record, run: Run | None, run_dir: Path, given: str | None) -> str:
    """Where the tokenizer is that the stage was trained with; checked to be that one."""
    root = run.settings.recipe["data"]["root"] if run else None
    below = Path(root) if root else run_dir / "world"
    try:
        named = given or find_tokenizer(record.origin.model["tokenizer"], record.origin.model["pretrained"], below)
    except UserError:
        raise UserError(f"there is no tokenizer in {below}; name its folder with --tokenizer") from None
    if Tokenizer(named).fingerprint != record.tokenizer:
        raise UserError(f"{named} is not the tokenizer that the stage was trained with; name that with --tokenizer")
    return named


def _model(record: Record, task: Task, tensors: Mapping[str, torch.Tensor]) -> PreTrainedModel:
    """The encoder and one head in the class that has them, every parameter at its place."""
    prefix = f"heads.{task.name}."
    head = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    encoder = {
        f"roberta.{name.removeprefix('encoder.')}": tensor
        for name, tensor in tensors.items()
        if name.startswith("encoder.")
    }
    config = XLMRobertaConfig.from_dict(dict(record.encoder))
    config._attn_implementation = "sdpa"
    if labels := record.labels[task.name]:
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: i for i, label in enumerate(labels)}
    form = task.kind.transformers_head
    assert form is not None
    model: PreTrainedModel = getattr(transformers, form.class_name)(config)
    state = {**encoder, **form.exported(head)}
    tied = {name for name in model.state_dict() if name.startswith("lm_head.decoder.")}
    assert state.keys() == model.state_dict().keys() - tied, sorted(state.keys() ^ model.state_dict().keys())
    model.load_state_dict(state, strict=False)
    model.tie_weights()
    return model.eval()
