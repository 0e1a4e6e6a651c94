r"""CCG supertagging: one category of Combinatory Categorial Grammar per word.

Sources: Hockenmaier and Steedman 2007 (CCGbank, LDC2005T13), as derivations (`data/AUTO/<section>/wsj_*.auto`) or
already as `words<TAB>tags`, both separated by spaces. The usual split trains on sections 02-21; Phang et al. 2020 train
on 00-18, test on 22-24. A derivation is one line of nested nodes `(<T category head children> ... )` over leaves
`(<L category tag original-tag word predicate-argument-category>)`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from xstilts.core.errors import UserError
from xstilts.core.reading import DOWNLOAD_AGAIN, read_lines, read_tsv
from xstilts.kinds import TAGGING, TaggingExample
from xstilts.tasks.registry import Layout, Source, Task, register

_HEADER = re.compile(r"ID=(\S+)( |$)")
_NODE = re.compile(
    r"\s*(?:"
    r"(?P<inner>\(<T \S+ \d+ \d+>)"
    r"|\(<L (?P<category>\S+) \S+ \S+ (?P<word>\S+) \S+>\)"
    r"|(?P<close>\))"
    r")\s*"
)
"""One step through a derivation: into a node, over a leaf, out of a node."""


def read(source: Source) -> Iterator[TaggingExample]:
    """Derivations or tagged sentences, by the file's suffix."""
    for path in source.files:
        yield from _read_auto(path) if path.suffix == ".auto" else _read_tagged(path)


def _read_auto(path: Path) -> Iterator[TaggingExample]:
    line = 0
    lines = read_lines(path)
    for line, header in lines:
        match = _HEADER.match(header)
        if match is None:
            raise UserError.at(path, line, "a line 'ID=...' was expected", DOWNLOAD_AGAIN)
        line, derivation = next(lines, (line, ""))
        yield TaggingExample(match[1], *_leaves(path, line, derivation))
    if line == 0:
        raise UserError.at(path, None, "the file has no rows", DOWNLOAD_AGAIN)


def _leaves(path: Path, line: int, derivation: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Words and categories of a derivation, whose brackets must match."""
    words: list[str] = []
    tags: list[str] = []
    depth = position = 0
    while position < len(derivation):
        node = _NODE.match(derivation, position)
        if node is None or (node["close"] and depth == 0) or (words and depth == 0):
            raise UserError.at(path, line, f"not a derivation at column {position + 1}", DOWNLOAD_AGAIN)
        position = node.end()
        depth += bool(node["inner"]) - bool(node["close"])
        if node["word"]:
            words.append(node["word"])
            tags.append(node["category"])
    if depth or not words:
        problem = f"the derivation ends with {depth} open nodes" if depth else "no derivation after the line 'ID=...'"
        raise UserError.at(path, line, problem, DOWNLOAD_AGAIN)
    return tuple(words), tuple(tags)


def _read_tagged(path: Path) -> Iterator[TaggingExample]:
    for line, (text, categories) in read_tsv(path, num_columns=2):
        words, tags = _split(text), _split(categories)
        if len(words) != len(tags) or not words:
            remedy = "give every word one tag, separated by spaces"
            raise UserError.at(path, line, f"{len(words)} words and {len(tags)} tags", remedy)
        yield TaggingExample(f"{path.stem}-{line}", words, tags)


def _split(cell: str) -> tuple[str, ...]:
    return tuple(part for part in cell.split(" ") if part)


def _sections(first: int, last: int) -> tuple[str, ...]:
    return tuple(f"ccg/AUTO/{section:02}/wsj_*.auto" for section in range(first, last + 1))


def _register(
    name: str, title: str, layouts: tuple[Layout, ...], sizes: Mapping[str, int], groups: tuple[str, ...]
) -> Task:
    return register(
        Task(
            name=name,
            kind=TAGGING,
            title=title,
            origin="https://catalog.ldc.upenn.edu/LDC2005T13 (paid)",
            layouts=layouts,
            languages={"eng_Latn": "eng"},
            metrics=("token_accuracy",),
            groups=groups,
            num_examples={(split, "eng_Latn"): size for split, size in sizes.items()},
        )
    )


CCG = _register(
    "ccg",
    "CCG",
    (
        Layout(read, {"train": _sections(0, 18), "dev": _sections(19, 21), "test": _sections(22, 24)}),
        Layout(read, {split: (f"ccg/{split}.txt",) for split in ("train", "dev", "test")}),
    ),
    {"train": 38_015, "dev": 5_484},
    groups=("intermediate",),
)

CCG_USUAL_SECTIONS = _register(
    "ccg_usual_sections",
    "CCG (02-21)",
    (Layout(read, {"train": _sections(2, 21), "dev": _sections(0, 0), "test": _sections(23, 23)}),),
    {"train": 39_604, "dev": 1_913, "test": 2_407},
    groups=(),
)
