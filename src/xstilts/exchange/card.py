"""The model card of an exported stage: what it is, where it comes from, and what it has to be given."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import ModelCard, ModelCardData

from xstilts import __version__
from xstilts.core.provenance import Provenance
from xstilts.study.record import Record
from xstilts.tasks import Task

_CLASSES = {
    "XLMRobertaForSequenceClassification": (
        "text-classification",
        "`tokenizer(text)`, or `tokenizer(first, second)` for two texts.",
    ),
    "XLMRobertaForMultipleChoice": (
        "multiple-choice",
        "One row for each option, `tokenizer(context, question + ' ' + option)`: [examples, options, tokens].",
    ),
    "XLMRobertaForQuestionAnswering": (
        "question-answering",
        "`tokenizer(question, context)`; long contexts in overlapping windows. `<s>` stands for no answer.",
    ),
    "XLMRobertaForTokenClassification": (
        "token-classification",
        "Words one by one, `tokenizer(words, is_split_into_words=True)`; a word's first piece carries its label.",
    ),
    "XLMRobertaForMaskedLM": ("fill-mask", "`tokenizer(text)`, with `<mask>` where a piece is to be predicted."),
}
"""Class -> its task on the hub, and what it is given."""


def write_card(folder: Path, record: Record, task: Task, provenance: Provenance | None) -> None:
    """Writes `README.md`; `provenance` is that of the pretrained model, where it says something of itself."""
    assert task.kind.transformers_head is not None
    pipeline, given = _CLASSES.get(task.kind.transformers_head.class_name, (None, "What its kind reads."))
    auto = task.kind.transformers_head.auto_class
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag=pipeline,
        base_model=_base(record),
        tags=["xlm-roberta", "xstilts"],
    )
    start = f"`{_base(record)}`" if _base(record) else "random weights"
    chain = [*(parent.label for parent in record.origin.parents), record.label]
    dev = "" if record.dev_score is None else f", dev score {record.dev_score:.2f}"
    lines = [
        f"# {task.title}: {record.label}",
        "",
        f"XLM-R with a head for {task.title} (`{task.name}`, {task.kind.name}), trained by xstilts {__version__}.",
        "",
        "```python",
        f"from transformers import {auto}, AutoTokenizer",
        f'model, tokenizer = {auto}.from_pretrained("."), AutoTokenizer.from_pretrained(".")',
        "```",
        "",
        "## Input",
        "",
        f"{given} Text goes through Unicode's NFC first. It was trained on segments of at most "
        f"{task.max_length} tokens, unless its run said otherwise.",
        "",
        "## Where it comes from",
        "",
        f"- begun with {start}, then stage by stage: {', '.join(chain)}",
        f"- trained on {', '.join(f'{part.task} {part.split} ({part.language})' for part in record.origin.data)}",
        f"- {record.num_steps} steps in {record.origin.precision}; weights of step {record.selected_step} "
        f"({record.selection}{dev}); saved in fp32",
        f"- seed {record.seed}; stage {record.origin.id}",
    ]
    if labels := record.labels[task.name]:
        lines.append(f"- labels: {', '.join(labels)}")
    if provenance is not None:
        lines += ["", "## Of the model it begins with", "", f"{provenance.name}, {provenance.licence}."]
        lines += [*provenance.caveats, f"Source: {provenance.source}"]
    licence = "Its licence is that of the model it begins with and of the data that it was trained on."
    ModelCard("\n".join(["---", data.to_yaml(), "---", "", *lines, "", licence, ""])).save(folder / "README.md")


def _base(record: Record) -> str | None:
    """The pretrained model's id, of a folder its name alone: where it lies is nobody's business."""
    pretrained = record.origin.model["pretrained"]
    if pretrained is None:
        return None
    return Path(pretrained).name if Path(pretrained).is_dir() or Path(pretrained).is_absolute() else pretrained
