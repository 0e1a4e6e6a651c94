"""Tagged sentences: CCG supertags, Universal Dependencies treebanks and PAN-X names."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from xstilts.synthetic.folder import Folder, code_of
from xstilts.synthetic.grammar import Sentence, Style
from xstilts.synthetic.languages import ENGLISH
from xstilts.synthetic.lexicon import CITIES, ORGANISATIONS, is_name
from xstilts.synthetic.meaning import Proposition, Question
from xstilts.synthetic.sampling import Sampler, distinct

Utterance = tuple[Proposition, Style]


def utterances(sampler: Sampler, num: int, taken: set[Hashable]) -> list[Utterance]:
    """Different sentences in different wordings, one in eight a question."""

    def draw() -> Utterance:
        if sampler.chance(0.125):
            asked = sampler.pick(("agent", "patient", "place", "time"))
            return Question(sampler.simple_event(), asked), sampler.style()
        return sampler.proposition(), sampler.style()

    return distinct(draw, num, key=lambda utterance: utterance[0], taken=taken)


def _write_ccg(folder: Folder) -> None:
    world = folder.world
    taken: set[Hashable] = set()
    for split, size in (("train", world.num_train), ("dev", world.num_dev), ("test", world.num_test)):
        sentences = [folder.sentence(*utterance) for utterance in utterances(folder.sampler("ccg", split), size, taken)]
        noise = folder.noise("ccg", split)
        rows = []
        for sentence in sentences:
            own = [word.category for word in sentence.words]
            categories = noise.together(own) if world.noisy_sentences else [noise(category, own) for category in own]
            rows.append((" ".join(word.form for word in sentence.words), " ".join(categories)))
        folder.write_tsv(f"ccg/{split}.txt", rows)


def _conllu(sentence: Sentence, sent_id: str) -> Iterator[str]:
    yield f"# sent_id = {sent_id}"
    yield f"# text = {sentence.text}"
    for index, word in enumerate(sentence.words):
        head = 0 if word.head is None else 1 + next(i for i, other in enumerate(sentence.words) if other is word.head)
        is_last = index + 1 == len(sentence.words)
        misc = "SpaceAfter=No" if not is_last and sentence.words[index + 1].upos == "PUNCT" else "_"
        yield f"{index + 1}\t{word.form}\t{word.lemma}\t{word.upos}\t_\t_\t{head}\t{word.relation}\t_\t{misc}"
    yield ""


def _write_ud(folder: Folder) -> None:
    """An English treebank; the same dev and test sentences in every other language."""
    world = folder.world
    taken: set[Hashable] = set()
    for split, size in (("train", world.num_train), ("dev", world.num_dev), ("test", world.num_test)):
        items = utterances(folder.sampler("ud", split), size, taken)
        for language in (ENGLISH,) if split == "train" else folder.all_languages:
            lines = (
                line
                for index, utterance in enumerate(items)
                for line in _conllu(folder.sentence(*utterance, language), f"world-{split}-{index}")
            )
            folder.write_lines(f"ud/{code_of(language, 'en')}_world-ud-{split}.conllu", lines)


def entity_of(lemmas: str, role: str | None) -> str | None:
    """`PER`, `LOC` or `ORG` for a name in its role, None for a kind: a surname may be a city's name too."""
    if not is_name(lemmas) or role == "time":
        return None
    if lemmas in ORGANISATIONS:
        return "ORG"
    return "LOC" if role == "place" and lemmas in CITIES else "PER"


def _name_tags(sentence: Sentence) -> list[str]:
    """IOB2 tags, one per word."""
    tags = []
    for word in sentence.words:
        head = word.head if word.relation == "flat" and word.head is not None else word
        parts = [other for other in sentence.words if other is head or (other.relation, other.head) == ("flat", head)]
        entity = entity_of(" ".join(part.lemma for part in parts), head.role) if head.upos == "PROPN" else None
        tags.append("O" if entity is None else f"{'B' if word is parts[0] else 'I'}-{entity}")
    return tags


def _write_panx(folder: Folder) -> None:
    world = folder.world
    taken: set[Hashable] = set()
    for split, size in (("train", world.num_train), ("dev", world.num_dev), ("test", world.num_test)):
        sampler = folder.sampler("panx", split)
        items = [
            (event, sampler.style()) for event in distinct(sampler.event, size, key=lambda event: event, taken=taken)
        ]
        for language in (ENGLISH,) if split == "train" else folder.all_languages:
            code = code_of(language, "en")
            lines: list[str] = []
            for item in items:
                sentence = folder.sentence(*item, language)
                tags = _name_tags(sentence)
                lines += [f"{code}:{word.form}\t{tag}" for word, tag in zip(sentence.words, tags, strict=True)]
                lines.append("")
            folder.write_lines(f"panx/{code}/{split}", lines)


def write_tagging(folder: Folder) -> None:
    """All tagging datasets."""
    _write_ccg(folder)
    _write_ud(folder)
    _write_panx(folder)
