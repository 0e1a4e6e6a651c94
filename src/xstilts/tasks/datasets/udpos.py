"""UDPOS: part-of-speech tagging on Universal Dependencies (Nivre et al. 2020; UD 2.5 in XTREME, 2.7 in XTREME-R).

A language's data are all its treebanks below the data root; XTREME trains on all English ones. `udpos` tags the tokens
of the text as XTREME does, `udpos_words` the syntactic words (as the hub's copy of XTREME has them).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from xstilts.kinds import TAGGING, TaggingExample
from xstilts.tasks.languages import codes_iso1
from xstilts.tasks.readers.conllu import UPOS, Sentence, has_text, read_conllu
from xstilts.tasks.registry import Layout, Reader, Source, Task, register
from xstilts.tasks.suites import languages_of, suites_of

_SPLITS = ("train", "dev", "test")
_LANGUAGES = codes_iso1(languages_of("udpos"))


Tagged = Callable[[Sentence, str], tuple[list[str], list[str]]]
"""(sentence, treebank's language code) -> words and their tags."""


def _reader(tagged: Tagged) -> Reader:
    def read(source: Source) -> Iterator[TaggingExample]:
        for path in source.files:
            treebank = path.name.partition("-ud-")[0]
            for index, sentence in enumerate(read_conllu(path)):
                if "_" in sentence.tags:
                    source.skipped["sentence with an untagged word"] += 1
                    continue
                words, tags = tagged(sentence, treebank.partition("_")[0])
                if not has_text(words):
                    source.skipped["sentence without its text"] += 1
                    continue
                yield TaggingExample(f"{treebank}-{index}", tuple(words), tuple(tags))

    return read


def _register(name: str, title: str, tagged: Tagged, groups: tuple[str, ...]) -> None:
    register(
        Task(
            name=name,
            kind=TAGGING,
            title=title,
            origin="https://universaldependencies.org (2.5 for XTREME, 2.7 for XTREME-R)",
            layouts=(Layout(_reader(tagged), {split: (f"ud/{{code}}_*-ud-{split}.conllu",) for split in _SPLITS}),),
            languages=_LANGUAGES,
            metrics=("xtreme_pos_f1", "token_accuracy"),
            labels=UPOS,
            groups=groups,
        )
    )


_register("udpos", "UDPOS", Sentence.tokens, suites_of("udpos"))
_register("udpos_words", "UDPOS (syntactic words)", lambda sentence, code: sentence.words(), ())
