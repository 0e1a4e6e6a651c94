"""Running text for masked language modelling, one sentence per line.

`mlm_text` is the user's own text; `mlm_ntrex` is NTREX-128 (Federmann et al. 2022), 1,997 news sentences in many
languages. Both have one file per language, which is its train and its dev split: recipes slice it.
"""

from __future__ import annotations

from collections.abc import Iterator

from xstilts.core.errors import UserError
from xstilts.core.reading import read_lines
from xstilts.kinds import MLM, TextExample
from xstilts.tasks.languages import all_languages, codes_as_written
from xstilts.tasks.registry import Layout, Source, Task, register

_NTREX = (
    "eng afr amh arb aze-Latn bem ben bul deu ell est eus ewe fas fil fin fra fuc guj hau heb hin hun ibo ind ita jpn "
    "kat kaz kin kor lit mal mar mlg msa mya nde nld nso nya orm pan pol por ron rus sna-Latn som spa ssw swa tam tel "
    "tha tir tsn tur ukr urd ven vie wol xho yor zho-CN zul"
)
_NTREX_LINES = 1_997


def read(source: Source) -> Iterator[TextExample]:
    """Every line that is not blank."""
    for path in source.files:
        empty = True
        for line, text in read_lines(path):
            if text.strip():
                empty = False
                yield TextExample(f"{path.stem}-{line}", text)
            else:
                source.skipped["blank line"] += 1
        if empty:
            raise UserError.at(path, None, "no text", "give one sentence per line")


def _same_file(path: str) -> Layout:
    return Layout(read, {"train": (path,), "dev": (path,)})


MLM_TEXT = register(
    Task(
        name="mlm_text",
        kind=MLM,
        title="MLM",
        origin="your own text, one sentence per line",
        layouts=(_same_file("text/{code}.txt"),),
        languages={language.key: language.iso3 for language in all_languages()},
        metrics=(),
    )
)

MLM_NTREX = register(
    Task(
        name="mlm_ntrex",
        kind=MLM,
        title="MLM (NTREX)",
        origin="https://github.com/MicrosoftTranslator/NTREX",
        layouts=(
            _same_file("ntrex/newstest2019-ref.{code}.txt"),
            _same_file("ntrex/newstest2019-src.{code}.txt"),
        ),
        languages=codes_as_written(_NTREX),
        metrics=(),
        num_examples={
            (split, language): _NTREX_LINES for split in ("train", "dev") for language in codes_as_written(_NTREX)
        },
    )
)
