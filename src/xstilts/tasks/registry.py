"""What a task is: a source of examples in known official layouts, a kind, labels and metrics.

`register` is called once per task by the module of its dataset family in `xstilts.tasks.datasets`; nothing
else in the program needs to know that a task exists.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xstilts.core.errors import UserError, did_you_mean
from xstilts.kinds import Example, Kind
from xstilts.tasks.languages import ENGLISH


@dataclass
class Source:
    """The files of one (task, split, language), and what reading them has skipped."""

    files: tuple[Path, ...]
    split: str
    language: str
    """Language key, ISO 639-3 and script: `swh_Latn`."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Rows left out because the official release itself is broken there, counted by reason."""


Reader = Callable[[Source], Iterator[Example]]


@dataclass(frozen=True)
class Layout:
    """One official on-disk form of a dataset."""

    read: Reader
    paths: Mapping[str, tuple[str, ...]]
    """Split -> path patterns below the data root, all of them read, in order. `{code}` is the dataset's own
    code for the language; a pattern may hold shell wildcards (UD: one file per treebank)."""
    root: Path | None = None
    """Folder that the patterns are below, for a task of a user's own; None: the data root."""
    joint: bool = False
    """Whether a training file holds several languages, of which the reader gives the one that is asked for."""


@dataclass(frozen=True)
class Hub:
    """The same dataset on the Hugging Face hub, at one commit."""

    path: str
    revision: str
    """A commit: branches move, and with them what a stage was trained on."""
    config: str | None
    """Configuration name; may hold `{code}`."""
    splits: Mapping[str, str]
    """Our split -> expression for `datasets.load_dataset(split=...)`."""
    example: Callable[[Mapping[str, object], int], Example | None]
    """Row and its index -> example; None where the row is broken (counted as skipped)."""
    holds: Callable[[Mapping[str, object], str], bool] | None = None
    """(row, the dataset's code for a language) -> whether the row is of that language; None: all rows are."""
    also: tuple[Hub, ...] = ()
    """Datasets that are read behind this one and make up the task together with it."""

    def parts(self) -> tuple[Hub, ...]:
        """This one and those behind it."""
        return (self, *self.also)


@dataclass(frozen=True)
class Task:
    """One dataset as this program uses it."""

    name: str
    kind: Kind[Any]
    title: str
    """Human name, as papers print it."""
    layouts: tuple[Layout, ...]
    """Tried in order; the first one whose files exist is read."""
    languages: Mapping[str, str]
    """Language key -> the dataset's own code for it, in the order in which suites list them."""
    metrics: tuple[str, ...]
    """Names in the metric registry; the first is the primary one, used for selection and tables."""
    origin: str = ""
    """Where its official files are had."""
    labels: tuple[str, ...] | None = None
    """Closed label set in head order; None where it is collected from the training data (CCG) or has none."""
    hub: Hub | None = None
    train_on: str | None = None
    """Task whose English data trains the head that predicts this one; None: itself, or nothing for retrieval."""
    groups: tuple[str, ...] = ()
    """`intermediate`, `xtreme`, `xtreme-r`, `africa`: what lists and suites select by."""
    max_length: int = 256
    """Longest segment in tokens, specials included (Phang et al. 2020: 256, QA 384, retrieval 512)."""
    num_examples: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """(split, language key) -> examples of the official release, where known."""
    version: int = 1
    """Raised when reading or encoding changes what is learned; part of a stage's hash."""
    translated: Mapping[str, str] = field(default_factory=dict)
    """Language key -> code of languages that the task has not, but its training text was translated into."""
    translations: tuple[Layout, ...] = ()
    """Of those files; in a language that the task has, they are among `layouts`."""
    definition: str = ""
    """Digest of what a task file says, part of the hash of everything read; empty for a task that is code."""

    @property
    def trained_by(self) -> str | None:
        """Name of the task whose training data makes this task's head, None where the kind has none."""
        return self.train_on or (self.name if self.kind.trainable else None)

    def code_of(self, language: str) -> str:
        """The dataset's own code for a language; a private-use language (ISO 639-2 `qaa`..`qtz`, the artificial
        world's) is its own code in every task that states no other."""
        if language in self.languages:
            return self.languages[language]
        if "qaa" <= language[:3] <= "qtz":
            return language[:3]
        raise UserError(f"task '{self.name}' has no language '{language}'; {did_you_mean(language, self.languages)}")

    @property
    def needs_root(self) -> bool:
        """Whether its files are below the data root."""
        return any(layout.root is None for layout in self.layouts)

    def locate(self, root: Path | None, split: str, language: str) -> tuple[Layout, Source]:
        """The layout present below `root` or its own, and its files; an error naming every path that was tried."""
        layouts = self._layouts_in(split, language)
        code = self.translated.get(language) or self.code_of(language)
        tried: list[str] = []
        for layout in layouts:
            patterns = [pattern.format(code=code) for pattern in layout.paths.get(split, ())]
            below = layout.root or root
            assert below is not None
            found = [sorted(below.glob(pattern)) for pattern in patterns]
            if patterns and all(found):
                return layout, Source(tuple(path for paths in found for path in paths), split, language)
            tried += [pattern for pattern, paths in zip(patterns, found, strict=True) if not paths]
        if not tried:
            raise UserError(f"task '{self.name}' has no split '{split}'; known: {', '.join(self.layouts[0].paths)}")
        problem = f"task '{self.name}', {split}, {language}: no file {' or '.join(tried)} below"
        if not self.needs_root:
            raise UserError(f"{problem} {self.layouts[0].root}; put it there, or mend files or root in the task's file")
        raise UserError(f"{problem} {root}; put the official release there or set data.root")

    def _layouts_in(self, split: str, language: str) -> tuple[Layout, ...]:
        """The layouts that may hold a language: of labelled training text in another than English those alone whose
        files say which, or English would be read for it."""
        if split != "train" or language == ENGLISH or self.kind.any_language:
            return self.layouts
        named = (one for one in self.layouts if one.joint or all("{code}" in path for path in one.paths.get(split, ())))
        if found := self.translations if language in self.translated else tuple(named):
            return found
        problem = f"task '{self.name}' has no training text in {language}"
        raise UserError(
            f"{problem}; name files of your own by data.sources.{self.name}.train, {{code}} being the language"
        )


_TASKS: dict[str, Task] = {}


def register(task: Task) -> Task:
    """Adds a task to the registry; names are unique."""
    assert task.name not in _TASKS, f"task '{task.name}' is registered twice"
    _TASKS[task.name] = task
    return task


def register_own(task: Task) -> Task:
    """Adds a task that a file defines, in place of what a file of the same task said before.

    Raises:
        UserError: the name is that of a task which is code.
    """
    known = _TASKS.get(task.name)
    if known is not None and not known.definition:
        raise UserError(f"task '{task.name}' is there already; give this one another name")
    _TASKS[task.name] = task
    return task


def own_tasks() -> list[Task]:
    """The tasks that files have defined."""
    return [task for task in _TASKS.values() if task.definition]


def find_task(name: str) -> Task:
    """The task of that name; an error with the nearest known name."""
    if name not in _TASKS:
        raise UserError(f"unknown task '{name}'; {did_you_mean(name, _TASKS)}")
    return _TASKS[name]


def all_tasks(group: str | None = None) -> list[Task]:
    """Registered tasks in order of registration, all or those of one group."""
    return [task for task in _TASKS.values() if group is None or group in task.groups]
