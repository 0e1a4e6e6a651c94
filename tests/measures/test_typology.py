from __future__ import annotations

import logging
import sys

import numpy as np
import pytest

from xstilts.core.errors import UserError
from xstilts.measures.typology import MIN_SHARED_FEATURES, Typology, load_uriel


class FakeUriel:
    """What is read of URIEL+: 30 syntactic and 5 phonological features of three languages, by two sources."""

    def __init__(self) -> None:
        self.feats = [np.array([]), np.array([f"S_{i}" for i in range(30)] + [f"P_{i}" for i in range(5)])]
        self.langs = [np.array([]), np.array(["eng", "swh", "tsn"])]
        values = np.full((3, 35, 2), -1.0)
        values[0, :, 0] = 1.0
        values[1, :MIN_SHARED_FEATURES, 1] = 0.0
        values[1, 30:, 1] = 0.0
        values[2, : MIN_SHARED_FEATURES - 1, 0] = 1.0
        self.data = [np.array([]), values]
        self.asked: list[tuple[str, ...]] = []

    def map_new_distance_to_loaded_features(self, distance: str) -> int:
        return 1

    def new_distance(self, *asked: str) -> np.float64:
        self.asked.append(asked)
        return np.float64(0.25)


def test_twenty_shared_features_are_enough_and_nineteen_are_missing() -> None:
    uriel = FakeUriel()
    typology = Typology(uriel)
    enough, too_few = typology.distance("eng", "swh", "syntactic"), typology.distance("eng", "tsn", "syntactic")
    assert (enough.value, enough.num_shared) == (0.25, 20)
    assert (too_few.value, too_few.num_shared) == (None, 19)
    assert uriel.asked == [("syntactic", "eng", "swh")]


def test_features_of_other_aspects_do_not_count() -> None:
    found = Typology(FakeUriel()).distance("eng", "swh", "phonological")
    assert (found.value, found.num_shared) == (None, 5)


@pytest.mark.parametrize("pair", [("eng", "xxx"), ("xxx", "eng")])
def test_an_unknown_language_is_missing(pair: tuple[str, str]) -> None:
    found = Typology(FakeUriel()).distance(*pair, "syntactic")
    assert (found.value, found.num_shared) == (None, 0)


def test_without_the_extra_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "urielplus.urielplus", None)
    with pytest.raises(UserError, match=r"urielplus is not installed; pip install 'xstilts\[typology\]'"):
        load_uriel()


def test_the_real_one() -> None:
    """Values of urielplus 1.3.2 by its own `new_distance`; English and Setswana share one syntactic feature."""
    pytest.importorskip("urielplus", reason="needs the extra `typology`")
    handlers = logging.getLogger().handlers[:]
    typology = Typology(load_uriel())
    assert logging.getLogger().handlers == handlers
    german = typology.distance("eng", "deu", "syntactic")
    assert (german.value, german.num_shared) == (pytest.approx(0.3582), 87)
    setswana = typology.distance("eng", "tsn", "syntactic")
    assert (setswana.value, setswana.num_shared) == (None, 1)
    assert typology.distance("eng", "xho", "phonological").value is None
    assert typology.distance("eng", "eng", "inventory").value == pytest.approx(0.0)
