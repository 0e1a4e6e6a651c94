"""The visits of one task as arrays, which measures of difficulty are computed from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class TaskVisits:
    """The visits of one task, in the order of (step, id); every array is [visits]."""

    ids: np.ndarray
    """str objects."""
    visit: np.ndarray
    """int64, from 0."""
    nll: np.ndarray
    """float64, nats."""
    p_gold: np.ndarray
    """float64."""
    num_targets: np.ndarray
    """int64."""
    num_not_finite: int
    """Visits that were left out because the loss was not finite."""

    def first(self) -> TaskVisits:
        """The first visit of each item: what the model knew before it ever learnt from the item."""
        return self._where(self.visit == 0, self.num_not_finite)

    def finite(self) -> TaskVisits:
        """Without visits whose loss is not finite; they are counted."""
        finite = np.isfinite(self.nll) & np.isfinite(self.p_gold)
        return self._where(finite, self.num_not_finite + int((~finite).sum()))

    def _where(self, mask: np.ndarray, num_not_finite: int) -> TaskVisits:
        return TaskVisits(
            ids=self.ids[mask],
            visit=self.visit[mask],
            nll=self.nll[mask],
            p_gold=self.p_gold[mask],
            num_targets=self.num_targets[mask],
            num_not_finite=num_not_finite,
        )


def visits_of(table: pa.Table, task: str) -> TaskVisits:
    """The visits of one task whose loss is finite, from the rows of `read_visits`."""
    rows = table.filter(pc.equal(table["task"], task))
    return TaskVisits(
        ids=rows["id"].to_numpy().astype(object),
        visit=rows["visit"].to_numpy().astype(np.int64),
        nll=rows["nll"].to_numpy().astype(np.float64),
        p_gold=rows["p_gold"].to_numpy().astype(np.float64),
        num_targets=rows["num_targets"].to_numpy().astype(np.int64),
        num_not_finite=0,
    ).finite()
