"""Running text in every language and translations of one another: MLM text, Tatoeba, NTREX and BUCC."""

from __future__ import annotations

from collections.abc import Hashable

from xstilts.synthetic.folder import Folder, code_of
from xstilts.synthetic.languages import ENGLISH
from xstilts.synthetic.sampling import distinct
from xstilts.synthetic.tagging import Utterance, utterances


def _write_text(folder: Folder) -> None:
    """Other sentences in every language: nothing is said twice in translation."""
    for language in folder.all_languages:
        sampler = folder.sampler("text", language)
        lines = (folder.text(sampler.proposition(), sampler.style(), language) for _ in range(folder.world.num_text))
        folder.write_lines(f"text/{code_of(language, 'eng')}.txt", lines)


def _translatable(folder: Folder, purpose: str, num: int, taken: set[Hashable]) -> list[Utterance]:
    """Sentences whose text occurs once in English, so that a translation has one right partner."""
    sampler = folder.sampler(purpose)
    return distinct(
        lambda: (sampler.event(), sampler.style()), num, key=lambda utterance: folder.text(*utterance), taken=taken
    )


def _write_tatoeba(folder: Folder) -> None:
    items = _translatable(folder, "tatoeba", folder.world.num_bitext, set())
    for language in folder.artificial:
        stem = f"tatoeba/tatoeba.{language[:3]}-eng"
        folder.write_lines(f"{stem}.{language[:3]}", (folder.text(*item, language) for item in items))
        folder.write_lines(f"{stem}.eng", (folder.text(*item) for item in items))


def _write_ntrex(folder: Folder) -> None:
    items = utterances(folder.sampler("ntrex"), folder.world.num_bitext, set())
    for language in folder.all_languages:
        name = "src.eng" if language == ENGLISH else f"ref.{language[:3]}"
        folder.write_lines(f"ntrex/newstest2019-{name}.txt", (folder.text(*item, language) for item in items))


def _write_bucc(folder: Folder) -> None:
    """Two monolingual collections, a third of whose sentences have their translation in the other."""
    for language in folder.artificial:
        code = language[:3]
        taken: set[Hashable] = set()
        for split in ("sample", "training"):
            num = folder.world.num_bitext
            items = _translatable(folder, f"bucc/{language}/{split}", num, taken)
            third = num // 3
            sides = {code: items[: 2 * third], "en": items[:third] + items[2 * third :]}
            order = folder.sampler("bucc", "order", language, split)
            numbered = {}
            for side, members in sides.items():
                shuffled = order.some(members, len(members))
                key = ENGLISH if side == "en" else language
                rows = [(f"{side}-{index:09}", folder.text(*item, key)) for index, item in enumerate(shuffled, start=1)]
                numbered[side] = {item: row[0] for item, row in zip(shuffled, rows, strict=True)}
                folder.write_tsv(f"bucc2018/{code}-en/{code}-en.{split}.{side}", rows)
            gold = [(numbered[code][item], numbered["en"][item]) for item in items[:third]]
            folder.write_tsv(f"bucc2018/{code}-en/{code}-en.{split}.gold", sorted(gold))


def write_bitext(folder: Folder) -> None:
    """Running text and all parallel sets."""
    _write_text(folder)
    _write_tatoeba(folder)
    _write_ntrex(folder)
    _write_bucc(folder)
