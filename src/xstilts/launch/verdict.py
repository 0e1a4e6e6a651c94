"""How a launch attempt ended."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the failure detector has concluded."""

    code: int
    """As in `core.exit_codes`."""
    message: str
    """One line that names rank, host and step; "" for a run that ended well."""
    hang: bool = False
    """Whether the stacks of the other ranks tell something about the cause."""
    all_ended: bool = False
    """Whether every rank has reported its exit, done or preempted: there is nobody left to stop."""
