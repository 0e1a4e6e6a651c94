"""Universal Dependencies treebanks as sequences of words and universal part-of-speech tags.

CoNLL-U lists syntactic words and, above them, the multiword tokens that the text has (`3-4 vámonos`, `3 vamos`,
`4 nos`). XTREME tags the tokens of the text: a fused token takes the tag of one of its words. Which one, what is
cleaned and what is dropped follows XTREME's conversion (ud-conversion-tools with fused forms, then its
preprocessing script), so that counts and scores agree with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from xstilts.core.errors import UserError, did_you_mean
from xstilts.core.reading import DOWNLOAD_AGAIN, OFFICIAL_FILE, read_lines

UPOS = tuple("ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split())

_PRECEDENCE: Mapping[str, Sequence[str]] = {
    "es": "VERB AUX PRON ADP DET".split(),
    "fr": "VERB AUX PRON NOUN ADJ ADV ADP DET PART SCONJ CONJ".split(),
    "it": "VERB AUX ADV PRON ADP DET INTJ".split(),
}
_DEFAULT_PRECEDENCE = "VERB NOUN PROPN PRON ADJ NUM ADV INTJ AUX ADP DET PART CCONJ SCONJ X PUNCT".split()
_NUM_COLUMNS = 10
_ABSENT = "_"


@dataclass
class Sentence:
    """One tree: `forms[i]`, `tags[i]` and `heads[i]` belong to word i + 1."""

    line: int
    """Of its first word or multiword token."""
    forms: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    heads: list[set[int]] = field(default_factory=list)
    """Heads of every word, basic and enhanced; 0 is the root."""
    fused: list[tuple[int, int, str]] = field(default_factory=list)
    """Multiword tokens: first word, last word, form."""

    def words(self) -> tuple[list[str], list[str]]:
        """Syntactic words and their tags."""
        return [_clean(form) for form in self.forms], list(self.tags)

    def tokens(self, language: str) -> tuple[list[str], list[str]]:
        """Tokens of the text and their tags; `language` (a treebank's code) decides the order of preference at ties."""
        precedence = _PRECEDENCE.get(language, _DEFAULT_PRECEDENCE)
        start_of = {first: (last, form) for first, last, form in self.fused}
        forms, tags = [], []
        word = 1
        while word <= len(self.forms):
            last, form = start_of.get(word, (word, self.forms[word - 1]))
            forms.append(_clean(form))
            tags.append(self.tags[self._head_of_span(range(word, last + 1), precedence) - 1])
            word = last + 1
        return forms, tags

    def _head_of_span(self, span: range, precedence: Sequence[str]) -> int:
        """The word with the fewest ancestors; at a tie the one whose tag is preferred, then the first.

        A tag that the precedence does not list ranks last (XTREME's converter stops with an error there).
        """
        if len(span) == 1:
            return span[0]
        distance = {word: len(self._ancestors(word)) for word in span}
        nearest = [word for word in span if distance[word] == min(distance.values())]
        rank = {tag: place for place, tag in enumerate(precedence)}
        return min(nearest, key=lambda word: rank.get(self.tags[word - 1], len(rank)))

    def _ancestors(self, word: int) -> set[int]:
        """Every node above `word`, the root included; enhanced dependencies make this a graph, even with cycles."""
        found: set[int] = set()
        todo = [word]
        while todo:
            for head in self.heads[todo.pop() - 1]:
                if head not in found:
                    found.add(head)
                    if head:
                        todo.append(head)
        return found - {word}


def has_text(forms: Sequence[str]) -> bool:
    """False where the treebank withholds its text: XTREME drops sentences with `_` for all words, or all but one."""
    num_absent = sum(form == _ABSENT for form in forms)
    return num_absent == 0 or num_absent < len(forms) - 1


def _clean(form: str) -> str:
    """Without zero-width non-joiners and inner spaces, unless nothing is left."""
    return form.replace("\u200c", "").replace(" ", "") or form


def read_conllu(path: Path) -> Iterator[Sentence]:
    """Every sentence of a CoNLL-U file.

    Raises:
        UserError: a line without ten columns, ids out of order, a head or range outside the sentence, or a tag that is
            not universal; with file and line.
    """
    sentence: Sentence | None = None
    number = 0
    for number, line in read_lines(path):
        if not line.strip():
            if sentence is not None:
                yield _checked(path, sentence)
            sentence = None
        elif not line.startswith("#"):
            sentence = sentence or Sentence(number)
            _add_line(path, number, line, sentence)
    if sentence is not None:
        yield _checked(path, sentence)
    if not number:
        raise UserError.at(path, None, "the file is empty", DOWNLOAD_AGAIN)


def _add_line(path: Path, number: int, line: str, sentence: Sentence) -> None:
    columns = line.split("\t")
    if len(columns) != _NUM_COLUMNS:
        raise UserError.at(path, number, f"{len(columns)} columns where {_NUM_COLUMNS} were expected", DOWNLOAD_AGAIN)
    id_, form, tag, head, deps = columns[0], columns[1].strip(), columns[3], columns[6], columns[8]
    if "." in id_:
        return  # an empty node of the enhanced graph: no word of the text
    first, dash, last = id_.partition("-")
    if not first.isdecimal() or (dash and not last.isdecimal()) or int(first) != len(sentence.forms) + 1:
        raise UserError.at(
            path, number, f"word id '{id_}' where {len(sentence.forms) + 1} was expected", DOWNLOAD_AGAIN
        )
    if dash:
        sentence.fused.append((int(first), int(last), form))
        return
    if tag not in UPOS and tag != _ABSENT:
        raise UserError.at(
            path, number, f"unknown tag '{tag}' ({did_you_mean(tag, UPOS)})", "use universal tags in column 4"
        )
    if not head.isdecimal() and head != _ABSENT:
        raise UserError.at(path, number, f"head '{head}' is not a number", DOWNLOAD_AGAIN)
    enhanced = {part.partition(":")[0] for part in deps.split("|")}
    sentence.forms.append(form)
    sentence.tags.append(tag)
    sentence.heads.append({int(word) for word in {head, *enhanced} if word.isdecimal()})


def _checked(path: Path, sentence: Sentence) -> Sentence:
    size = len(sentence.forms)
    if any(head > size for heads in sentence.heads for head in heads):
        raise UserError.at(path, sentence.line, f"a head lies outside the sentence of {size} words", DOWNLOAD_AGAIN)
    end = 0
    for first, last, form in sentence.fused:
        if not end < first < last <= size:
            raise UserError.at(
                path, sentence.line, f"multiword token '{form}' spans {first}-{last} of {size} words", OFFICIAL_FILE
            )
        end = last
    return sentence
