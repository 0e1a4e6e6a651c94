"""Where the examples of one (task, split, language) come from, and what they are made of."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from xstilts.config.recipe import Data
from xstilts.core.checksum import Checksums
from xstilts.core.errors import UserError, reason_of
from xstilts.core.hub import connect
from xstilts.data.download import watched
from xstilts.distributed import heartbeat
from xstilts.kinds import Example
from xstilts.tasks import Hub, Layout, Source, Task
from xstilts.tasks.languages import ENGLISH, codes_iso1

_SLICE = re.compile(r"^(?P<path>.*?)(?:\[(?P<start>\d+%?)?:(?P<stop>\d+%?)?\])?$")


@dataclass
class ExampleSource:
    """Readable any number of times; `skipped` counts what the last reading left out."""

    task: Task
    split: str
    language: str
    files: tuple[Path, ...] = ()
    layout: Layout | None = None
    hub: Hub | None = None
    start: str = ""
    """Slice of the examples, a number or a percentage; empty for the whole."""
    stop: str = ""
    skipped: Counter[str] = field(default_factory=Counter)
    checksums: Checksums = field(default_factory=Checksums)

    def examples(self) -> Iterator[Example]:
        """The examples in file order, sliced."""
        if not self.start and not self.stop:
            yield from self._all()
            return
        total = sum(1 for _ in self._all()) if "%" in self.start + self.stop else 0
        yield from islice(self._all(), *self._bounds(total))

    def overlaps(self, other: ExampleSource) -> bool:
        """Whether an example of the one may be read by the other: of the same content, and no slices apart."""
        mine, theirs = (sorted(source.contents().values()) for source in (self, other))
        if mine != theirs:
            return not set(mine).isdisjoint(theirs)
        total = sum(1 for _ in self._all())
        (first, last), (other_first, other_last) = self._bounds(total), other._bounds(total)
        return max(first, other_first) < min([total, *(end for end in (last, other_last) if end is not None)])

    def fingerprint(self) -> str:
        """Hash of the content and of what is read of it; not of where it lies."""
        definition = (self.task.definition,) if self.task.definition else ()
        read = (list(self.contents().values()), self.split, self.language, self.start, self.stop, *definition)
        return hashlib.sha256(repr(read).encode()).hexdigest()[:16]

    def contents(self) -> dict[str, str]:
        """What is read -> what its content is known by: file -> SHA-256, or place on the hub -> revision."""
        if self.hub is not None:
            places = {(hub.path, hub.config, hub.splits[self.split]): hub for hub in self.hub.parts()}
            return {" ".join(filter(None, place)): repr((place, hub.revision)) for place, hub in places.items()}
        return {str(path): self.checksums.of(path) for path in self.files}

    def _bounds(self, total: int) -> tuple[int, int | None]:
        """First example and the one behind the last, of so many; None for all that follow."""
        return _bound(self.start or "0", total), _bound(self.stop, total) if self.stop else None

    def _all(self) -> Iterator[Example]:
        self.skipped.clear()
        if self.hub is not None:
            number = 0
            for hub in self.hub.parts():
                for row in self._rows(hub):
                    example = hub.example(row, number)
                    number += 1
                    if example is None:
                        self.skipped["broken row on the hub"] += 1
                    else:
                        yield example
        else:
            assert self.layout is not None
            yield from self.layout.read(Source(self.files, self.split, self.language, self.skipped))

    def _rows(self, hub: Hub) -> Iterator[Any]:
        """The rows of one dataset that are of the language."""
        from datasets import load_dataset
        from datasets.config import HF_DATASETS_CACHE
        from huggingface_hub.constants import HF_HUB_CACHE

        unreachable = connect()
        code = self.task.code_of(self.language)
        config = hub.config.format(code=code) if hub.config else None
        try:
            with watched((Path(HF_HUB_CACHE), Path(HF_DATASETS_CACHE)), heartbeat.progress):
                rows = load_dataset(hub.path, config, revision=hub.revision, split=hub.splits[self.split])
        except Exception as error:  # the hub client raises many unrelated types
            reason = unreachable or reason_of(error)
            problem = f"task '{self.task.name}': cannot load '{hub.path}' from the hub ({reason})"
            raise UserError(f"{problem}; set data.root to local files") from None
        yield from (row for row in rows if hub.holds is None or hub.holds(row, code))


def find_source(data: Data, root: Path | None, task: Task, split: str, language: str) -> ExampleSource:
    """The source that the recipe names, checked to exist: local files first, the hub second."""
    overrides: Mapping[Any, str] = data.sources.get(task.name, {})
    if split in overrides:
        assert root is not None
        return _overridden(root, task, split, language, overrides[split])
    absent = f"task '{task.name}' has no {split} split on the hub; set data.root or data.sources.{task.name}.{split}"
    if root is not None or not task.needs_root:
        try:
            layout, source = task.locate(root, split, language)
            return ExampleSource(task, split, language, source.files, layout)
        except UserError as error:
            absent = str(error)
    if split != "train" or language in task.languages:
        task.code_of(language)
        if data.hub and task.hub is not None and split in task.hub.splits:
            return ExampleSource(task, split, language, hub=task.hub)
    raise UserError(absent)


def _overridden(root: Path, task: Task, split: str, language: str, override: str) -> ExampleSource:
    match = _SLICE.match(override)
    assert match is not None
    if split == "train" and language != ENGLISH and "{code}" not in match["path"] and not task.kind.any_language:
        problem = f"data.sources.{task.name}.train: '{override}' is one file for all languages, and a stage trains"
        raise UserError(f"{problem} in {language}; write {{code}} in its place")
    pattern = match["path"].replace("{code}", _code(task, split, language))
    if not pattern or Path(pattern).is_absolute():
        raise UserError(f"data.sources.{task.name}.{split}: '{pattern}' is no path below data.root; give one")
    files = tuple(sorted(root.glob(pattern)))
    if not files:
        raise UserError(f"data.sources.{task.name}.{split}: no file {pattern} below {root}; mend the path")
    layout = _layout_for(task, language, Path(pattern).suffix)
    return ExampleSource(task, split, language, files, layout, start=match["start"] or "", stop=match["stop"] or "")


def _code(task: Task, split: str, language: str) -> str:
    """What `{code}` stands for; of training text in a language that the task has not, the ISO 639-1 code, or 639-3."""
    if split == "train" and language not in task.languages:
        (code,) = codes_iso1([language]).values()
        return task.translated.get(language, code)
    return task.code_of(language)


def _layout_for(task: Task, language: str, suffix: str) -> Layout:
    """The first layout that reads files of this suffix, else the first."""
    layouts = task.translations if language in task.translated else task.layouts
    fits = (layout for layout in layouts if any(p.endswith(suffix) for ps in layout.paths.values() for p in ps))
    return next(fits, layouts[0])


def _bound(text: str, total: int) -> int:
    return total * int(text[:-1]) // 100 if text.endswith("%") else int(text)
