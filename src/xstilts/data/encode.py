"""Examples to features: token segments and targets, one encoder per kind of task.

Layouts are those of XLM-R fine-tuning in XTREME's scripts: `<s> a </s></s> b </s>` for two texts, a question cut to 64
tokens before the windows of its context, the first subword of a word carrying its tag. An option's segment is
`<s> context </s></s> question option </s>`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from xstilts.core.errors import UserError
from xstilts.tasks import (
    Answer,
    ChoiceExample,
    Example,
    Kind,
    PairExample,
    RetrievalExample,
    SpanExample,
    TaggingExample,
    TextExample,
)
from xstilts.text.tokenizer import Tokenizer

NO_LABEL = -1
"""Target of a word or text whose gold label the model cannot produce or does not know."""

_MAX_QUESTION_TOKENS = 64


@dataclass
class Feature:
    """One example, tokenised. Positions count from the first token of the example's first segment."""

    id: str
    tokens: list[int]
    """All segments, one after the other."""
    lengths: list[int]
    """Length of each segment."""
    positions: list[int] = field(default_factory=list)
    """Where the head reads: `<s>` of each segment, or the first subword of each word."""
    targets: list[int] = field(default_factory=list)
    """pair, choice: [label]; tagging: a tag per word; span: start, end per window, counted within the window."""
    starts: list[int] = field(default_factory=list)
    """Span evaluation only: original start offset of each token, -1 outside the context; likewise `ends`."""
    ends: list[int] = field(default_factory=list)
    gold: dict[str, Any] | None = None
    """Evaluation only: the example itself, for decoding and scoring."""
    num_targets: int = 1
    """Targets that the example's loss is averaged over. Masked language modelling chooses its own."""
    num_cut: int = 0
    """Tokens of the example that no segment had room for."""

    def window(self, index: int) -> Feature:
        """One window of a span example by itself."""
        start = sum(self.lengths[:index])
        stop = start + self.lengths[index]
        return Feature(
            self.id,
            self.tokens[start:stop],
            [self.lengths[index]],
            [0],
            self.targets[2 * index : 2 * index + 2],
            num_targets=1,
        )


@dataclass(frozen=True)
class Encoding:
    """What encoding depends on besides the example."""

    tokenizer: Tokenizer
    max_length: int
    doc_stride: int
    label_index: Mapping[str, int]
    """Label -> class; empty for kinds without labels."""


def encode(example: Example, encoding: Encoding, *, with_gold: bool) -> Feature:
    """The feature of an example; with its gold and offsets where it is to be decoded and scored."""
    feature = _ENCODERS[type(example)](example, encoding)
    if with_gold:
        feature.gold = asdict(example)
    else:
        feature.starts, feature.ends = [], []
    return feature


def _pair(example: PairExample, encoding: Encoding) -> Feature:
    tokens, num_cut = _joined(encoding, example.text_a, example.text_b)
    target = NO_LABEL if example.label is None else encoding.label_index[example.label]
    return Feature(example.id, tokens, [len(tokens)], [0], [target], num_cut=num_cut)


def _choice(example: ChoiceExample, encoding: Encoding) -> Feature:
    context = encoding.tokenizer.encode(example.context).ids
    tokens: list[int] = []
    lengths, positions, num_cut = [], [], 0
    for option in example.options:
        second = encoding.tokenizer.encode(f"{example.question} {option}".strip()).ids
        num_second = len(second)
        first, second = _truncate(context, second, encoding.max_length - 4)
        segment = encoding.tokenizer.pair(first, second)
        num_cut += len(context) + num_second - len(first) - len(second)
        positions.append(len(tokens))
        lengths.append(len(segment))
        tokens += segment
    target = NO_LABEL if example.label is None else example.label
    return Feature(example.id, tokens, lengths, positions, [target], num_cut=num_cut)


def _span(example: SpanExample, encoding: Encoding) -> Feature:
    tokenizer = encoding.tokenizer
    whole_question = tokenizer.encode(example.question).ids
    question = whole_question[:_MAX_QUESTION_TOKENS]
    context = tokenizer.encode(example.context)
    room = encoding.max_length - len(question) - 4
    if room <= encoding.doc_stride:
        problem = f"data.max_length {encoding.max_length} leaves {room} context tokens, not more than data.doc_stride"
        raise UserError(f"{problem}; raise it")
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
            inside = [
                i
                for i in range(first, last)
                if context.starts[i] < answer.start + len(answer.text) and context.ends[i] > answer.start
            ]
            whole = (
                inside
                and context.starts[inside[0]] <= answer.start
                and context.ends[inside[-1]] >= answer.start + len(answer.text)
            )
            if whole:
                start, end = inside[0] - first + prefix, inside[-1] - first + prefix
        feature.targets += [start, end]
        feature.num_targets = len(feature.lengths)
        if last == len(context.ids):
            return feature
        first += encoding.doc_stride


def _tagging(example: TaggingExample, encoding: Encoding) -> Feature:
    """A sentence longer than a segment goes on in another segment, so that every word has a prediction."""
    tokenizer = encoding.tokenizer
    room = encoding.max_length - 2
    feature = Feature(example.id, [], [])
    segment: list[int] = []
    words_here: list[int] = []

    def close() -> None:
        base = len(feature.tokens) + 1
        feature.positions.extend(base + offset for offset in words_here)
        feature.tokens.extend(tokenizer.single(segment))
        feature.lengths.append(len(segment) + 2)
        segment.clear()
        words_here.clear()

    for pieces in tokenizer.encode_words(example.words):
        feature.num_cut += max(0, len(pieces) - room)
        pieces = pieces[:room]
        if len(segment) + len(pieces) > room:
            close()
        words_here.append(len(segment))
        segment += pieces
    close()
    tags = example.tags if example.tags is not None else [None] * len(example.words)
    feature.targets = [NO_LABEL if tag is None else encoding.label_index.get(tag, NO_LABEL) for tag in tags]
    feature.num_targets = sum(target != NO_LABEL for target in feature.targets)
    return feature


def _text(example: TextExample, encoding: Encoding) -> Feature:
    tokens, num_cut = _joined(encoding, example.text, None)
    return Feature(example.id, tokens, [len(tokens)], num_cut=num_cut)


def _retrieval(example: RetrievalExample, encoding: Encoding) -> Feature:
    tokens, num_cut = _joined(encoding, example.text, example.text_b)
    return Feature(example.id, tokens, [len(tokens)], [0], num_cut=num_cut)


_ENCODERS: dict[type, Callable[[Any, Encoding], Feature]] = {
    PairExample: _pair,
    ChoiceExample: _choice,
    SpanExample: _span,
    TaggingExample: _tagging,
    TextExample: _text,
    RetrievalExample: _retrieval,
}


def _joined(encoding: Encoding, text_a: str, text_b: str | None) -> tuple[list[int], int]:
    """One segment of one or two texts, and how many tokens it has no room for."""
    tokenizer = encoding.tokenizer
    first = tokenizer.encode(text_a).ids
    if text_b is None:
        room = encoding.max_length - 2
        return tokenizer.single(first[:room]), max(0, len(first) - room)
    second = tokenizer.encode(text_b).ids
    room = encoding.max_length - 4
    return tokenizer.pair(*_truncate(first, second, room)), max(0, len(first) + len(second) - room)


def _truncate(first: list[int], second: list[int], room: int) -> tuple[list[int], list[int]]:
    """Takes tokens off the end of the longer text, the second of two equal ones, until both fit ("longest first")."""
    excess = len(first) + len(second) - room
    if excess <= 0:
        return first, second
    difference = len(first) - len(second)
    from_first = min(excess, max(difference, 0))
    from_second = min(excess, max(-difference, 0))
    rest = excess - from_first - from_second
    from_first, from_second = from_first + rest // 2, from_second + rest - rest // 2
    return first[: len(first) - from_first], second[: len(second) - from_second]


def restore(kind: Kind, gold: dict[str, Any]) -> Example:
    """The example that a feature's `gold` was made from."""
    if kind is Kind.SPAN:
        return SpanExample(**{**gold, "answers": tuple(Answer(**answer) for answer in gold["answers"])})
    tuples = {key: tuple(value) if isinstance(value, list) else value for key, value in gold.items()}
    return _EXAMPLES[kind](**tuples)


_EXAMPLES: dict[Kind, Callable[..., Example]] = {
    Kind.PAIR: PairExample,
    Kind.CHOICE: ChoiceExample,
    Kind.TAGGING: TaggingExample,
    Kind.MLM: TextExample,
    Kind.RETRIEVAL: RetrievalExample,
}
