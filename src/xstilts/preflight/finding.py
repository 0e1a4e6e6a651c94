"""One thing that `check` has found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to put right."""

    serious: bool
    """Whether a run would break or go wrong; otherwise it would be slow or close to breaking."""
    where: str
    problem: str
    remedy: str
