"""The data root being written: its languages, its random draws, and files in the forms that releases use."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from xstilts.synthetic.grammar import PLAIN, Grammar, Sentence, Style
from xstilts.synthetic.languages import ENGLISH, Language
from xstilts.synthetic.meaning import Proposition
from xstilts.synthetic.sampling import Sampler
from xstilts.synthetic.settings import World

T = TypeVar("T")


class Noise:
    """Exchanges a share of the labels it is shown, by draws of its own: all else of the world stays as it is."""

    def __init__(self, rate: float, sampler: Sampler) -> None:
        self._rate, self._sampler = rate, sampler

    def __call__(self, label: T, labels: Sequence[T]) -> T:
        """The label, or one of the others; the label where there is no other."""
        others = [other for other in labels if other != label]
        return self._sampler.pick(others) if self._sampler.chance(self._rate) and others else label

    def together(self, labels: Sequence[T]) -> list[T]:
        """For each label one of the others, or, decided by one draw for all, the labels."""
        if not self._sampler.chance(self._rate):
            return list(labels)
        always = Noise(1.0, self._sampler)
        return [always(label, labels) for label in labels]


class Folder:
    """Writes one world below one root."""

    def __init__(self, world: World, root: Path) -> None:
        self.world, self.root = world, root
        distances = {ENGLISH: 0.0, **world.languages}
        self.grammars = {key: Grammar(Language(key, distance, world.seed)) for key, distance in distances.items()}
        self.artificial = tuple(world.languages)

    @property
    def all_languages(self) -> tuple[str, ...]:
        """Keys of English and of every artificial language."""
        return tuple(self.grammars)

    def sampler(self, *purpose: object) -> Sampler:
        """The random draws for one purpose."""
        return Sampler(self.world.seed, *purpose)

    def noise(self, dataset: str, split: str) -> Noise:
        """What makes the labels of a split noisy; test sets stay clean."""
        rate = 0.0 if split.startswith("test") else self.world.noise.get(dataset, 0.0)
        return Noise(rate, self.sampler("noise", dataset, split))

    def num_distractors(self, dataset: str) -> int:
        """Sentences beside the point in each context of the dataset."""
        return self.world.distractors.get(dataset, 0)

    def sentence(self, proposition: Proposition, style: Style = PLAIN, language: str = ENGLISH) -> Sentence:
        """The sentence for a proposition in a language."""
        return self.grammars[language].realise(proposition, style)

    def text(self, proposition: Proposition, style: Style = PLAIN, language: str = ENGLISH) -> str:
        """Its text alone."""
        return self.sentence(proposition, style, language).text

    def write_lines(self, path: str, lines: Iterable[str]) -> None:
        """Lines ended by a line feed."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")

    def write_jsonl(self, path: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """One JSON object per line."""
        self.write_lines(path, (json.dumps(row, ensure_ascii=False) for row in rows))

    def write_json(self, path: str, document: Any) -> None:
        """One JSON document."""
        self.write_lines(path, [json.dumps(document, ensure_ascii=False, indent=1)])

    def write_tsv(self, path: str, rows: Iterable[Sequence[object]]) -> None:
        """Tab-separated cells without quoting."""
        self.write_lines(path, ("\t".join(map(str, row)) for row in rows))

    def write_csv(self, path: str, rows: Iterable[Sequence[object]]) -> None:
        """Comma-separated cells with quotes where needed."""
        stream = io.StringIO()
        csv.writer(stream, lineterminator="\n").writerows(rows)
        self.write_lines(path, stream.getvalue().splitlines())


def code_of(language: str, english: str) -> str:
    """A dataset's code for a language: its own for English, the first three letters of the key for the others."""
    return english if language == ENGLISH else language[:3]
