"""Steps that must not count, and losses that stand out: what is said of them, and when the run has to stop."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from xstilts.data.loader import MicroBatch
from xstilts.distributed import dist

WINDOW = 128
SIGMAS = 6.0
"""A spike is a loss so many standard deviations above the mean of the last `WINDOW` (OLMo-core's stability monitor)."""

_NUM_NAMED = 8


@dataclass(frozen=True)
class Suspect:
    """A micro-batch that may be the cause of a fault."""

    rank: int
    host: str
    micro_batch: int
    """Its place in the step's cut."""
    examples: tuple[str, ...]
    """`task/id` of each."""


class Health:
    """Judges the steps of a stage in order, the same on every rank."""

    def __init__(self, policy: Literal["skip", "stop"], max_skips: int, carried: Mapping[str, Any]) -> None:
        """`carried` is what `carry` gave before the run was interrupted; empty at the start."""
        self._policy = policy
        self._max_skips = max_skips
        self._losses: deque[float] = deque(carried.get("losses", ()), WINDOW)
        self.num_skipped: int = carried.get("num_skipped", 0)
        self.num_in_a_row: int = carried.get("num_in_a_row", 0)
        self.num_overflows: int = carried.get("num_overflows", 0)
        self.num_spikes: int = carried.get("num_spikes", 0)

    def carry(self) -> dict[str, Any]:
        """What a resumed run needs in order to judge as this one would; JSON values."""
        return {
            "losses": list(self._losses),
            "num_skipped": self.num_skipped,
            "num_in_a_row": self.num_in_a_row,
            "num_overflows": self.num_overflows,
            "num_spikes": self.num_spikes,
        }

    def counts(self) -> dict[str, float]:
        """For TensorBoard."""
        return {
            "health/skipped_steps": self.num_skipped,
            "health/loss_scale_overflows": self.num_overflows,
            "health/loss_spikes": self.num_spikes,
        }

    def passed(self, step: int, loss: float) -> str | None:
        """Takes in the loss of a step that counted; what to say if it is a spike."""
        self.num_in_a_row = 0
        mean = math.fsum(self._losses) / max(1, len(self._losses))
        spread = math.sqrt(math.fsum((other - mean) ** 2 for other in self._losses) / max(1, len(self._losses)))
        spike = len(self._losses) == WINDOW and spread > 0 and loss > mean + SIGMAS * spread
        self._losses.append(loss)
        if not spike:
            return None
        self.num_spikes += 1
        return f"loss spike at step {step}: {loss:.4f} after a mean of {mean:.4f} (sd {spread:.4f}) over {WINDOW} steps"

    def overflowed(self, step: int) -> str:
        """Takes in a step that fp16's loss scaling refused, which belongs to its search for a scale."""
        self.num_overflows += 1
        return f"fp16 overflow at step {step}: skipped, the loss scale is lowered"

    def skipped(self, step: int, what: str, suspects: Sequence[Suspect]) -> str:
        """Takes in a step whose `what` (loss, gradient) is not finite; what to say of it."""
        self.num_skipped += 1
        self.num_in_a_row += 1
        return (
            f"step {step} is skipped, its {what} is not finite: {_where(suspects)} "
            f"({self.num_in_a_row} in a row, {self.num_skipped} in all)"
        )

    @property
    def stop_reason(self) -> str | None:
        """Why the run must end after the last step, and the remedy; None while it may go on."""
        if self.num_in_a_row and self._policy == "stop":
            return "mend the data, lower training.lr, or set runtime.on_nonfinite=skip"
        if self.num_in_a_row >= self._max_skips:
            return f"runtime.max_skips is {self._max_skips}: mend the data or lower training.lr"
        return None


def name_suspects(host: str, micro_batches: Sequence[MicroBatch]) -> list[Suspect]:
    """Every rank's suspects; a collective."""
    mine = [
        Suspect(
            dist.rank(), host, micro.index, tuple(f"{task}/{id_}" for task, ids in micro.ids.items() for id_ in ids)
        )
        for micro in micro_batches
        if micro.ids
    ]
    return [suspect for theirs in dist.gather(mine) for suspect in theirs]


def _where(suspects: Sequence[Suspect]) -> str:
    examples = [example for suspect in suspects for example in suspect.examples]
    ranks = sorted({(suspect.rank, suspect.host) for suspect in suspects})
    named = ", ".join(examples[:_NUM_NAMED])
    more = f" and {len(examples) - _NUM_NAMED} more" if len(examples) > _NUM_NAMED else ""
    return f"{named}{more} on {', '.join(f'rank {rank} ({host})' for rank, host in ranks)}"
