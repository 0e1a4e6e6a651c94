"""The question that runs were made to answer, as their `run.json` has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from xstilts.analysis.runs import RunResults
from xstilts.config.question import Question
from xstilts.core.errors import UserError
from xstilts.study.provenance import RUN_FILE


@dataclass(frozen=True)
class Asked:
    """A question, and what the runs are to have for it."""

    question: Question
    scored: dict[str, list[str]]
    """Target -> languages, of all runs."""
    seeds: list[int]
    notes: tuple[str, ...]
    """What a reader must know of where the question comes from."""


def asked_of(results: Sequence[RunResults]) -> Asked | None:
    """The question of the first study that asks one; None where none does. A checkpoint that is evaluated asks none.

    Raises:
        UserError: `run.json` holds a question of another form.
    """
    runs = [(each.name, each.run) for each in results if each.run and each.run.checkpoint is None]
    asking = [(name, run, run.settings.recipe["question"]) for name, run in runs if run.settings.recipe.get("question")]
    if not asking:
        return None
    name, run, raw = asking[0]
    try:
        question = Question.model_validate(raw)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        place = f"{name}/{RUN_FILE}"
        raise UserError.at(place, "question", detail["msg"], "launch again: it is written anew") from None
    scored: dict[str, list[str]] = {}
    for _, each in runs:
        for target, languages in each.expected.targets.items():
            known = scored.setdefault(target, [])
            known += [key for key in languages if key not in known]
    notes = []
    others = [other for other, _, theirs in asking[1:] if not _same(question, theirs)]
    if others:
        notes.append(f"The question is that of {name}; {', '.join(others)} asked another.")
    if any(not _same(question, settings.recipe.get("question")) for settings in run.earlier.values()):
        notes.append(f"The question of {name} was changed after its first launch: it was not named beforehand.")
    planned = set(run.expected.seeds)
    if any(set(settings.recipe.get("seeds", planned)) != planned for settings in run.earlier.values()):
        notes.append(
            f"The seeds of {name} were changed after its first launch: whoever adds seeds until an answer comes calls "
            "more than 5 % of nulls."
        )
    seeds = list(dict.fromkeys(seed for _, each in runs for seed in each.expected.seeds))
    return Asked(question, scored, seeds, tuple(notes))


def _same(question: Question, other: object) -> bool:
    """Whether a launch asked the same, whichever keys there were for it then."""
    try:
        return Question.model_validate(other) == question
    except ValidationError:
        return False
