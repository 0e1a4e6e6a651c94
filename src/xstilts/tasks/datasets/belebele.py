"""Belebele: reading comprehension with four options on FLORES passages (Bandarkar et al. 2024); test data alone.

Its authors assemble a training set of six others (RACE, SciQ, ...). Of the tasks at hand Cosmos QA has the same form,
a passage, a question and four options, so its head predicts Belebele.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from xstilts.core.errors import UserError
from xstilts.core.reading import OFFICIAL_FILE, read_jsonl
from xstilts.kinds import CHOICE, ChoiceExample
from xstilts.tasks.languages import all_languages
from xstilts.tasks.registry import Hub, Layout, Source, Task, register
from xstilts.tasks.suites import languages_of, suites_of

_NUMBERS = ("1", "2", "3", "4")
_OPTIONS = tuple(f"mc_answer{number}" for number in _NUMBERS)
_RELEASED = frozenset(
    (
        "acm_Arab afr_Latn als_Latn amh_Ethi apc_Arab arb_Arab arb_Latn ars_Arab ary_Arab arz_Arab asm_Beng azj_Latn "
        "bam_Latn ben_Beng ben_Latn bod_Tibt bul_Cyrl cat_Latn ceb_Latn ces_Latn ckb_Arab dan_Latn deu_Latn ell_Grek "
        "eng_Latn est_Latn eus_Latn fin_Latn fra_Latn fuv_Latn gaz_Latn grn_Latn guj_Gujr hat_Latn hau_Latn heb_Hebr "
        "hin_Deva hin_Latn hrv_Latn hun_Latn hye_Armn ibo_Latn ilo_Latn ind_Latn isl_Latn ita_Latn jav_Latn jpn_Jpan "
        "kac_Latn kan_Knda kat_Geor kaz_Cyrl kea_Latn khk_Cyrl khm_Khmr kin_Latn kir_Cyrl kor_Hang lao_Laoo lin_Latn "
        "lit_Latn lug_Latn luo_Latn lvs_Latn mal_Mlym mar_Deva mkd_Cyrl mlt_Latn mri_Latn mya_Mymr nld_Latn nob_Latn "
        "npi_Deva npi_Latn nso_Latn nya_Latn ory_Orya pan_Guru pbt_Arab pes_Arab plt_Latn pol_Latn por_Latn ron_Latn "
        "rus_Cyrl shn_Mymr sin_Latn sin_Sinh slk_Latn slv_Latn sna_Latn snd_Arab som_Latn sot_Latn spa_Latn srp_Cyrl "
        "ssw_Latn sun_Latn swe_Latn swh_Latn tam_Taml tel_Telu tgk_Cyrl tgl_Latn tha_Thai tir_Ethi tsn_Latn tso_Latn "
        "tur_Latn ukr_Cyrl urd_Arab urd_Latn uzn_Latn vie_Latn war_Latn wol_Latn xho_Latn yor_Latn zho_Hans zho_Hant "
        "zsm_Latn zul_Latn"
    ).split()
)
"""Its 122 language variants; those of them that the registry knows are the task's languages."""
_KNOWN = [language.key for language in all_languages() if language.key in _RELEASED]
_LANGUAGES = {key: key for key in dict.fromkeys((*languages_of("belebele"), *_KNOWN))}


def read(source: Source) -> Iterator[ChoiceExample]:
    for path in source.files:
        texts = ("link", "flores_passage", "question", *_OPTIONS)
        for line, row in read_jsonl(path, ("question_number", "correct_answer_num"), texts=texts):
            if str(row["correct_answer_num"]) not in _NUMBERS:
                raise UserError.at(
                    path, line, f"correct_answer_num {row['correct_answer_num']!r} is not 1 to 4", OFFICIAL_FILE
                )
            yield _example(row)


def _example(row: Mapping[str, Any]) -> ChoiceExample:
    return ChoiceExample(
        id=f"{row['link']}#{row['question_number']}",
        context=row["flores_passage"],
        question=row["question"],
        options=tuple(row[option] for option in _OPTIONS),
        label=int(row["correct_answer_num"]) - 1,
    )


register(
    Task(
        name="belebele",
        kind=CHOICE,
        title="Belebele",
        origin="https://github.com/facebookresearch/belebele",
        layouts=(Layout(read, {"test": ("belebele/{code}.jsonl",)}),),
        languages=_LANGUAGES,
        metrics=("accuracy",),
        hub=Hub(
            "facebook/belebele",
            "7899cdfa4e1e0d733fd77c848e2c273cb1d32be2",
            "{code}",
            {"test": "test"},
            lambda row, index: _example(row),
        ),
        train_on="cosmos_qa",
        groups=suites_of("belebele"),
        # Passages that XLM-R's pieces fit badly, those of the languages it has not seen, are far beyond 256 tokens.
        max_length=512,
        num_examples={("test", key): 900 for key in _LANGUAGES},
    )
)
