"""A question and a context, the answer a span of the context or absent."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xstilts.core.errors import UserError
from xstilts.kinds.base import HeadShape, Kind
from xstilts.kinds.feature import Encoding, Feature
from xstilts.kinds.features import Features
from xstilts.kinds.files import Items, as_document, by_id, read_mapping
from xstilts.kinds.head_input import Collation, HeadArrays, HeadInput, TaskItems
from xstilts.kinds.random_place import at_random_place
from xstilts.kinds.relabelling import Relabelling
from xstilts.kinds.squad_json import Answer, SpanExample, read_squad_json, squad_document
from xstilts.kinds.transformers_head import TransformersHead
from xstilts.measures.null_models import span_null_bits

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import XLMRobertaConfig

MAX_QUESTION_TOKENS = 64
"""A question is cut to these before the windows of its context (XTREME's scripts)."""
MAX_ANSWER_TOKENS = 30
"""Longest answer considered (XTREME's scripts)."""
MAX_ANSWER_WORDS = 30
"""Longest answer drawn at random."""
_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class AnswerReference:
    """What an answer is compared with."""

    answers: tuple[str, ...]
    """Every accepted answer; empty where the question has none."""
    language: str
    """Language key of the context, `swh_Latn`: MLQA's rules depend on it."""


@dataclass(frozen=True)
class Span(Kind[SpanExample]):
    """Predictions are the answer's text. Files are JSON: question id -> answer, and SQuAD's form for labels."""

    unanswerable: bool = False
    """Whether questions may have no answer, as in SQuAD v2.0."""

    name = "span"
    example_type = SpanExample
    carries_head = True
    windowed = True
    relabels = True
    targets_shape = (2,)
    suffix = "json"
    transformers_head = TransformersHead(
        "XLMRobertaForQuestionAnswering", {"qa_outputs.weight": "out.weight"}, {"qa_outputs.bias": 2}
    )

    def encode(self, example: SpanExample, encoding: Encoding) -> Feature:
        """A long context goes into overlapping windows; one that does not hold the whole answer points at `<s>`."""
        tokenizer = encoding.tokenizer
        whole_question = tokenizer.encode(example.question).ids
        question = whole_question[:MAX_QUESTION_TOKENS]
        context = tokenizer.encode(example.context)
        room = encoding.max_length - len(question) - 4
        if room <= encoding.doc_stride:
            problem = f"data.max_length {encoding.max_length} leaves {room} context tokens, not more than"
            raise UserError(f"{problem} data.doc_stride; raise it")
        answer = example.answers[0] if example.answers else None
        feature = Feature(example.id, [], [], num_cut=len(whole_question) - len(question))
        prefix = len(question) + 3
        first = 0
        while True:
            last = min(first + room, len(context.ids))
            segment = tokenizer.pair(question, context.ids[first:last])
            feature.positions.append(len(feature.tokens))
            feature.tokens += segment
            feature.lengths.append(len(segment))
            feature.starts += [-1] * prefix + context.starts[first:last] + [-1]
            feature.ends += [-1] * prefix + context.ends[first:last] + [-1]
            start, end = 0, 0  # `<s>` stands for "no answer in this window"
            if answer is not None:
                after = answer.start + len(answer.text)
                inside = [i for i in range(first, last) if context.starts[i] < after and context.ends[i] > answer.start]
                if inside and context.starts[inside[0]] <= answer.start and context.ends[inside[-1]] >= after:
                    start, end = inside[0] - first + prefix, inside[-1] - first + prefix
            feature.targets += [start, end]
            feature.num_targets = len(feature.lengths)
            if last == len(context.ids):
                return feature
            first += encoding.doc_stride

    def restore(self, fields: Mapping[str, Any]) -> SpanExample:
        return SpanExample(**{**fields, "answers": tuple(Answer(**answer) for answer in fields["answers"])})

    def texts(self, example: SpanExample) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return (example.context,), (example.question,)

    def classes(self, example: SpanExample) -> Iterator[str]:
        yield "answerable" if example.answers else "unanswerable"

    def collate(self, items: TaskItems, tokens_L: np.ndarray, collation: Collation) -> HeadArrays:
        features = items.features
        num_windows = features.lengths.sizes
        weights = (items.weights / features.num_targets).repeat(num_windows)
        lengths = features.lengths.flat()
        return HeadArrays(np.arange(len(tokens_L)), features.targets.flat(), weights, num_windows, lengths)

    def windows(self, features: Features, chosen: np.ndarray) -> Features:
        lengths = features.lengths.flat()
        window = features.lengths.offsets + chosen
        starts, sizes = features.starts.copy(), np.ones_like(features.sizes)  # of positions the first, `<s>`
        starts[0] += (lengths.cumsum() - lengths)[window] - features.tokens.offsets
        starts[1] += chosen
        starts[3] += 2 * chosen
        sizes[0] = lengths[window]
        sizes[3] = 2
        return Features(features.ids, features.memory, starts, sizes, sizes[1])

    def relabel(
        self, feature: Feature, donated: Sequence[int], how: Relabelling, generator: np.random.Generator
    ) -> list[int]:
        """A span of as many tokens at a place drawn uniformly from those that a window holds whole, the same in every
        window, whatever the scheme. Where questions may have no answer it is as long as another question's answer, and
        absent where that is: whether there is one would be left to learn otherwise."""
        gold = donated if self.unanswerable else feature.targets
        num_answer = max(last - first + 1 if last else 0 for first, last in zip(gold[::2], gold[1::2], strict=True))
        return at_random_place(feature, num_answer, how.doc_stride, generator)

    def null_bits(self, features: Sequence[Feature]) -> np.ndarray:
        answered = [[start != 0 for start in feature.targets[::2]] for feature in features]
        return span_null_bits([feature.lengths for feature in features], answered)

    def layers(self, config: XLMRobertaConfig, num_classes: int, embeddings: nn.Embedding) -> dict[str, nn.Module]:
        from xstilts.kinds.layers import Linear

        return {"out": Linear(config.hidden_size, 2, bias=False)}

    def num_parameters(self, shape: HeadShape, num_classes: int) -> int:
        return 2 * shape.hidden_size

    def logits(self, layers: Mapping[str, nn.Module], hidden_TH: Tensor, given: HeadInput) -> Tensor:
        """[2, W, longest window], -inf behind a window's end: every token as start and as end; `<s>` (token 0 of a
        window) stands for no answer."""
        import torch

        from xstilts.kinds.layers import ragged

        start_T, end_T = layers["out"](hidden_TH).unbind(1)
        return torch.stack((ragged(start_T, given.groups), ragged(end_T, given.groups)))

    def losses(self, logits: Tensor, given: HeadInput) -> Tensor:
        """Mean of the start's and the end's loss, [W]."""
        from xstilts.kinds.layers import cross_entropy

        start, end = given.targets.unbind(1)
        return (cross_entropy(logits[0], start) + cross_entropy(logits[1], end)) / 2

    def decode(self, features: Sequence[Feature], logits: Tensor, labels: Sequence[str] | None) -> list[str]:
        """The best span over an example's windows. Of a question that may have no answer, the empty string wins if
        `<s>` scores higher as start and end than that span; the null score is the lowest over the windows, as in BERT's
        SQuAD v2.0 script, with threshold 0."""
        scores, firsts, lasts = _best_spans(features, logits)
        nulls = logits[:, :, 0].sum(0).tolist()
        answers = []
        first = 0
        for feature in features:
            windows = range(first, first + len(feature.lengths))
            first += len(feature.lengths)
            chosen = max(windows, key=lambda window: scores[window])
            text = ""
            if scores[chosen] > float("-inf"):
                assert feature.example is not None
                offset = sum(feature.lengths[: chosen - windows.start])
                answer = slice(feature.starts[offset + firsts[chosen]], feature.ends[offset + lasts[chosen]])
                text = feature.example["context"][answer].strip()
            null = min(nulls[window] for window in windows)
            answers.append("" if self.unanswerable and null > scores[chosen] else text)
        return answers

    def reference(self, example: SpanExample, language: str) -> AnswerReference:
        return AnswerReference(tuple(answer.text for answer in example.answers), language)

    def random_predictions(
        self,
        examples: Sequence[SpanExample],
        references: Sequence[Any],
        labels: Sequence[str],
        generator: np.random.Generator,
    ) -> list[str]:
        return [_random_span(example.context, generator) for example in examples]

    def constant_predictions(self, examples: Sequence[SpanExample], references: Sequence[Any]) -> list[list[str]]:
        """The first word of the context, or no answer."""
        first_words = [match[0] if (match := _WORD.search(example.context)) else "" for example in examples]
        return [first_words, [""] * len(examples)]

    def write_predictions(self, examples: Sequence[SpanExample], predictions: Sequence[str]) -> str:
        return as_document({e.id: answer for e, answer in zip(examples, predictions, strict=True)})

    def write_labels(self, examples: Sequence[SpanExample], references: Sequence[Any]) -> str:
        return as_document(squad_document(examples))

    def read_items(self, predictions: Path, labels: Path, language: str, vocabulary: Collection[str]) -> Items:
        questions = read_squad_json(labels, unanswerable=True, check_offsets=False)
        references = {example.id: self.reference(example, language) for example in questions}
        return by_id(references, read_mapping(predictions, str), predictions)


def _best_spans(features: Sequence[Feature], logits: Tensor) -> tuple[list[float], list[int], list[int]]:
    """Score, first and last token of each window's best span of at most `MAX_ANSWER_TOKENS` tokens that stand in the
    context; -inf where a window has none of it."""
    import torch
    from torch.nn.functional import pad

    never = float("-inf")
    lengths_W = np.array([length for feature in features for length in feature.lengths])
    inside_WM = np.arange(logits.shape[2]) < lengths_W[:, None]
    # Offsets are negative outside the context.
    inside_WM[inside_WM] = np.concatenate([feature.starts for feature in features]) >= 0
    start_WM, end_WM = logits.masked_fill(~torch.from_numpy(inside_WM), never)
    ends_WMK = pad(end_WM, (0, MAX_ANSWER_TOKENS - 1), value=never).unfold(1, MAX_ANSWER_TOKENS, 1)
    total_WP = (start_WM.unsqueeze(2) + ends_WMK).flatten(1)
    best_W = total_WP.argmax(1)
    first_W, width_W = best_W // MAX_ANSWER_TOKENS, best_W % MAX_ANSWER_TOKENS
    return total_WP.gather(1, best_W[:, None])[:, 0].tolist(), first_W.tolist(), (first_W + width_W).tolist()


def _random_span(context: str, generator: np.random.Generator) -> str:
    """One of the runs of up to `MAX_ANSWER_WORDS` words, all equally likely, as it stands in the context."""
    words = [match.span() for match in _WORD.finditer(context)]
    if not words:
        return ""
    longest = min(MAX_ANSWER_WORDS, len(words))
    starts_by_length = np.arange(len(words), len(words) - longest, -1)
    place = int(generator.integers(starts_by_length.sum()))
    length = int(np.searchsorted(starts_by_length.cumsum(), place, side="right"))
    first = place - int(starts_by_length[:length].sum())
    return context[words[first][0] : words[first + length][1]]


SPAN = Span()
SPAN_OR_NONE = Span(unanswerable=True)
