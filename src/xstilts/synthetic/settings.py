"""What an artificial world consists of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from xstilts.core.errors import did_you_mean
from xstilts.synthetic.script import SCRIPTS

Distance = Annotated[float, Field(ge=0.0, le=1.0)]
Size = Annotated[int, Field(ge=1)]

NOISY = ("anli", "mnli", "snli", "qqp", "hellaswag", "cosmos_qa", "commonsense_qa", "squad_v1", "squad_v2", "ccg")
"""English datasets whose labels can be made noisy."""
CROWDED = ("mnli", "snli", "cosmos_qa", "squad_v1", "squad_v2")
"""English datasets that can be given sentences beside the point."""


class World(BaseModel):
    """A small world of related languages in which every truth is known; equal settings give equal bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    seed: int = 0
    """Everything is drawn from it: words of the languages, sentences, labels, order."""
    languages: dict[str, Distance] = {"qaa_Latn": 0.2, "qab_Latn": 0.5, "qac_Cyrl": 0.8}
    """Key of an artificial language (private-use code qaa to qtz and script Latn, Cyrl, Grek or Ethi) -> its
    distance from English: 0 is English itself, 1 shares no word, affix or order with it. English is always there."""
    num_train: Size = 2000
    """Training examples per dataset; ANLI's three rounds together have as many."""
    num_dev: Size = 200
    """Development examples per dataset and language."""
    num_test: Size = 200
    """Test examples per dataset and language; all languages have the same ones, translated."""
    num_text: Size = 1500
    """Lines of running text per language."""
    num_bitext: Size = 200
    """Sentence pairs per language of Tatoeba, NTREX and BUCC."""
    num_pieces: Annotated[int, Field(ge=100)] = 2000
    """Largest vocabulary of the tokenizer; small worlds end up with fewer pieces."""

    noise: dict[str, Annotated[float, Field(ge=0.0, le=1.0)]] = Field({}, examples=[{"mnli": 0.4}])
    """English dataset -> share of its training and development labels that are wrong: of a pair or a question another
    label, of a passage the words of another participant, of a sentence another word's supertag for each word."""
    noisy_sentences: bool = False
    """CCG's noise falls on whole sentences: none of the supertags of a noisy one is right, unless it has but one kind,
    and all those of the others are."""
    distractors: dict[str, Annotated[int, Field(ge=0, le=6)]] = Field({}, examples=[{"squad_v1": 2}])
    """English dataset -> sentences beside the point added to every context or premise."""
    unrelated: bool = False
    """QQP shares nothing with any other dataset: its questions are strings of made-up words that occur nowhere else,
    duplicates if they begin with the same word."""

    @field_validator("noise", "distractors")
    @classmethod
    def _known_datasets(cls, values: dict[str, float], field: ValidationInfo) -> dict[str, float]:
        known = NOISY if field.field_name == "noise" else CROWDED
        for name in values:
            if name not in known:
                raise ValueError(f"'{name}' cannot be given {field.field_name}; {did_you_mean(name, known)}")
        return values

    @field_validator("languages")
    @classmethod
    def _known_scripts_and_codes(cls, languages: dict[str, float]) -> dict[str, float]:
        for key in languages:
            code, _, script = key.partition("_")
            if len(code) != 3 or not "qaa" <= code <= "qtz" or script not in SCRIPTS:
                scripts = ", ".join(SCRIPTS)
                raise ValueError(f"'{key}' is no artificial language: write qaa to qtz, '_' and one of {scripts}")
        if len({key[:3] for key in languages}) < len(languages):
            raise ValueError("two languages have one code: files are named by the three letters alone")
        return languages
