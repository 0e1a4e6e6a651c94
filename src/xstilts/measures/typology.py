"""Typological distance of languages by URIEL+ (Khan et al. 2025; extra `typology`, data under CC BY-SA 4.0)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from xstilts.core.errors import UserError

Aspect = Literal["syntactic", "phonological", "inventory"]

MIN_SHARED_FEATURES = 20
"""URIEL+ computes a distance from a single shared feature: English to Setswana reads 0.0."""

_PREFIXES: dict[Aspect, str] = {"syntactic": "S_", "phonological": "P_", "inventory": "INV_"}


@dataclass(frozen=True)
class TypologicalDistance:
    """Angular distance, from 0 to 1."""

    value: float | None
    """None where it is missing: too few shared features, or a language that URIEL+ does not know."""
    num_shared: int
    """Features known of both languages."""


class Typology:
    """Distances from one knowledge base."""

    def __init__(self, uriel: Any) -> None:
        """Takes what `load_uriel` returns."""
        self._uriel = uriel

    def distance(self, first: str, second: str, aspect: Aspect) -> TypologicalDistance:
        """Distance of two languages, named by ISO 639-3."""
        shared = self._num_shared(first, second, aspect)
        if shared < MIN_SHARED_FEATURES:
            return TypologicalDistance(None, shared)
        return TypologicalDistance(float(self._uriel.new_distance(aspect, first, second)), shared)

    def _num_shared(self, first: str, second: str, aspect: Aspect) -> int:
        table = self._uriel.map_new_distance_to_loaded_features(aspect)
        features, languages = self._uriel.feats[table], self._uriel.langs[table]
        rows = [np.flatnonzero(languages == language) for language in (first, second)]
        if not all(map(len, rows)):
            return 0
        of_aspect = np.char.startswith(features.astype(str), _PREFIXES[aspect])
        known = [(self._uriel.data[table][row[0]] != -1).any(axis=-1) for row in rows]
        return int((known[0] & known[1] & of_aspect).sum())


def load_uriel() -> Any:
    """The knowledge base; takes seconds. On first use URIEL+ copies files within its own package.

    Raises:
        UserError: the extra is not installed, or its package may not be written to.
    """
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        from urielplus.urielplus import URIELPlus

        return URIELPlus()
    except ImportError:
        raise UserError("typology: urielplus is not installed; pip install 'xstilts[typology]'") from None
    except PermissionError as error:
        problem = f"typology: urielplus cannot unpack its data ({error})"
        raise UserError(f"{problem}; run it once as the user who installed it") from None
    finally:  # URIEL+ sets the root logger up for itself
        root.handlers[:] = handlers
        root.setLevel(level)
