"""Where the examples of one (task, split, language) come from, and what they are made of."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from xstilts.config.recipe import Data
from xstilts.errors import UserError
from xstilts.tasks import Example, Hub, Layout, Source, Task

_SLICE = re.compile(r"^(?P<path>.*?)(?:\[(?P<start>\d+%?)?:(?P<stop>\d+%?)?\])?$")


@dataclass
class ExampleSource:
    """Readable any number of times; `skipped` counts what the last complete reading left out."""

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

    def examples(self) -> Iterator[Example]:
        """The examples in file order, sliced."""
        if not self.start and not self.stop:
            yield from self._all()
            return
        total = sum(1 for _ in self._all()) if "%" in self.start + self.stop else 0
        first, last = _bound(self.start or "0", total), _bound(self.stop, total) if self.stop else None
        yield from islice(self._all(), first, last)

    def fingerprint(self) -> str:
        """Hash of the content: of the files' bytes, or of the hub's revision."""
        digest = hashlib.sha256(f"{self.start}:{self.stop}".encode())
        if self.hub is not None:
            digest.update(
                repr((self.hub.path, self.hub.revision, self.hub.config, self.hub.splits[self.split])).encode()
            )
        for path in self.files:
            with path.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        return digest.hexdigest()[:16]

    def _all(self) -> Iterator[Example]:
        self.skipped.clear()
        if self.hub is not None:
            yield from self._from_hub(self.hub)
        else:
            assert self.layout is not None
            source = Source(self.files, self.split, self.language)
            yield from self.layout.read(source)
            self.skipped = source.skipped

    def _from_hub(self, hub: Hub) -> Iterator[Example]:
        from datasets import load_dataset

        config = hub.config.format(code=self.task.code_of(self.language)) if hub.config else None
        try:
            rows: Any = load_dataset(hub.path, config, revision=hub.revision, split=hub.splits[self.split])
        except Exception as error:  # the hub client raises many unrelated types
            reason = str(error).splitlines()[0]
            raise UserError(
                f"task '{self.task.name}': cannot load '{hub.path}' from the hub ({reason}); set data.root to local files"
            ) from None
        for i, row in enumerate(rows):
            example = hub.example(row, i)
            if example is None:
                self.skipped["broken row on the hub"] += 1
            else:
                yield example


def find_source(data: Data, root: Path | None, task: Task, split: str, language: str) -> ExampleSource:
    """The source that the recipe names, checked to exist."""
    override = data.sources.get(task.name, {}).get(split)
    if data.hub and override is None:
        if task.hub is None or split not in task.hub.splits:
            raise UserError(
                f"task '{task.name}' has no {split} split on the hub; set data.root or data.sources.{task.name}.{split}"
            )
        return ExampleSource(task, split, language, hub=task.hub)
    if root is None:
        raise UserError(f"task '{task.name}': data.sources needs data.root; set it")
    if override is None:
        layout, source = task.locate(root, split, language)
        return ExampleSource(task, split, language, source.files, layout)
    match = _SLICE.match(override)
    assert match is not None
    pattern = match["path"].format(code=task.code_of(language))
    files = tuple(sorted(root.glob(pattern)))
    if not files:
        raise UserError(f"data.sources.{task.name}.{split}: no file {pattern} below {root}; mend the path")
    layout = _layout_for(task, Path(pattern).suffix)
    return ExampleSource(task, split, language, files, layout, start=match["start"] or "", stop=match["stop"] or "")


def _layout_for(task: Task, suffix: str) -> Layout:
    """The first layout that reads files of this suffix, else the first."""
    fits = (layout for layout in task.layouts if any(p.endswith(suffix) for ps in layout.paths.values() for p in ps))
    return next(fits, task.layouts[0])


def _bound(text: str, total: int) -> int:
    return total * int(text[:-1]) // 100 if text.endswith("%") else int(text)
