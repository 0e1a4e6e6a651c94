"""The words of the English of the artificial world, and the facts that come with them.

Every kind has one type and at most one home; every verb has one cause and one effect, and every state is the
cause or effect of exactly one verb. So each commonsense question has exactly one right answer.
"""

from __future__ import annotations

from dataclasses import dataclass

KINDS = {
    "person": ("teacher", "doctor", "farmer", "baker", "singer", "soldier", "driver", "nurse"),
    "animal": ("dog", "cat", "horse", "cow", "goat", "fox", "bear", "duck"),
    "food": ("bread", "cheese", "soup", "cake", "apple", "rice"),
    "tool": ("hammer", "drill", "spoon", "saw", "needle", "brush"),
    "vehicle": ("car", "boat", "train", "bike", "truck", "plane"),
    "garment": ("hat", "coat", "shirt", "shoe", "scarf", "glove"),
    "furnishing": ("table", "chair", "bed", "lamp", "desk", "mirror"),
}
"""Type -> its kinds."""
TYPE_OF = {kind: kind_type for kind_type, kinds in KINDS.items() for kind in kinds}

HOMES = {
    "school": ("teacher", "chair"),
    "market": ("apple", "rice", "baker"),
    "farm": ("cow", "horse", "farmer"),
    "forest": ("fox", "bear", "saw"),
    "river": ("duck", "boat"),
    "kitchen": ("spoon", "cheese", "soup"),
    "station": ("train", "driver"),
    "hospital": ("doctor", "nurse", "bed"),
    "library": ("lamp", "desk"),
    "garage": ("car", "truck", "drill"),
}
"""Place -> the kinds that are at home there."""
PLACES = tuple(HOMES)

FIRST_NAMES = (
    "Anna", "Boris", "Clara", "David", "Emma", "Felix", "Greta", "Henry",
    "Irene", "Jonas", "Karla", "Leo", "Maria", "Nina", "Oscar", "Paula",
)  # fmt: skip
SURNAMES = ("Berg", "Dahl", "Falk", "Holm", "Lund", "Moss", "Rask", "Vinter")
CITIES = ("Arvik", "Belmo", "Corda", "Delva", "Fornes", "Galto", "Lund", "Moss")
"""Two of them are also surnames: only the sentence tells which."""
ORGANISATIONS = tuple(f"{city} {head}" for city in CITIES for head in ("Bank", "College", "Club"))

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
YEARS = tuple(str(year) for year in range(1971, 1999, 3))
TIMES = DAYS + YEARS

PROPERTIES = ("red", "blue", "green", "white", "old", "new", "big", "small")
NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five"}


@dataclass(frozen=True, slots=True)
class Verb:
    """A transitive verb, all of them regular: what it takes, and what comes before and after it."""

    lemma: str
    patients: tuple[str, ...]
    """Types of its patients."""
    cause: tuple[str, str]
    """(role, state) that makes somebody do it."""
    effect: tuple[str, str]
    """(role, state) that it brings about."""


_THINGS = ("tool", "vehicle", "garment", "furnishing", "animal")

_VERBS = (
    Verb("wash", ("vehicle", "garment", "animal", "tool"), ("patient", "dirty"), ("patient", "clean")),
    Verb("repair", ("vehicle", "tool", "furnishing"), ("patient", "broken"), ("patient", "useful")),
    Verb("devour", ("food",), ("agent", "hungry"), ("agent", "full")),
    Verb("cook", ("food",), ("patient", "raw"), ("patient", "hot")),
    Verb("order", (*_THINGS, "food"), ("agent", "rich"), ("agent", "excited")),
    Verb("trade", (*_THINGS, "food"), ("agent", "poor"), ("agent", "calm")),
    Verb("misplace", ("tool", "garment", "animal", "food"), ("agent", "careless"), ("agent", "sad")),
    Verb("locate", _THINGS, ("patient", "missing"), ("agent", "happy")),
    Verb("paint", ("vehicle", "furnishing"), ("patient", "ugly"), ("patient", "pretty")),
    Verb("nourish", ("animal",), ("patient", "thin"), ("patient", "fat")),
    Verb("button", ("garment",), ("agent", "cold"), ("agent", "warm")),
    Verb("lift", ("tool", "furnishing", "food"), ("agent", "strong"), ("agent", "tired")),
    Verb("smash", ("tool", "furnishing", "vehicle"), ("agent", "angry"), ("patient", "ruined")),
    Verb("conceal", ("tool", "garment", "food", "animal"), ("agent", "afraid"), ("agent", "safe")),
    Verb("cure", ("person", "animal"), ("patient", "sick"), ("patient", "healthy")),
    Verb("help", ("person",), ("patient", "busy"), ("patient", "grateful")),
    Verb("instruct", ("person",), ("patient", "ignorant"), ("patient", "wise")),
    Verb("rouse", ("person", "animal"), ("patient", "asleep"), ("patient", "awake")),
    Verb("sharpen", ("tool",), ("patient", "blunt"), ("patient", "sharp")),
    Verb("praise", ("person",), ("patient", "brave"), ("patient", "proud")),
    Verb("visit", ("person",), ("patient", "lonely"), ("patient", "cheerful")),
    Verb("chase", ("animal",), ("patient", "wild"), ("patient", "scared")),
)
VERBS = {verb.lemma: verb for verb in _VERBS}
VERBS_OF = {kind_type: tuple(verb.lemma for verb in _VERBS if kind_type in verb.patients) for kind_type in KINDS}
"""Type of a patient -> the verbs that take it."""

SYNONYMS = {
    "wash": "rinse",
    "repair": "mend",
    "devour": "consume",
    "order": "purchase",
    "locate": "discover",
    "lift": "haul",
    "conceal": "cover",
    "cure": "heal",
    "help": "assist",
    "instruct": "coach",
}
"""Verb -> another word for it."""

FUNCTION_WORDS = (
    "the", "a", "every", "no", "not", "did", "was", "were", "is", "in", "on", "by", "and", "because",
    "who", "what", "where", "when", *NUMBERS.values(),
)  # fmt: skip
STATES = tuple(state for verb in _VERBS for _, state in (verb.cause, verb.effect))
LEMMAS = (*FUNCTION_WORDS, *KINDS, *TYPE_OF, *PLACES, *PROPERTIES, *STATES, *VERBS, *SYNONYMS.values(), *DAYS)
"""Every word that differs between languages; names, years and punctuation are common to all."""


def is_name(kind: str) -> bool:
    """Whether a thing is called by a name (`Anna`, `Anna Berg`, `Lund Bank`) and not by its kind."""
    return kind[0].isupper()


def type_of(kind: str) -> str:
    """The type of a kind or of a named person; a type is its own type."""
    return "person" if is_name(kind) else TYPE_OF.get(kind, kind)
