"""Does a property of the intermediate task, such as difficulty, go with what the task changes? Tasks are the unit."""

from __future__ import annotations

import numpy as np
from scipy import special

from xstilts.analysis.statistics.estimate import Array, TEstimate
from xstilts.analysis.statistics.least import least


def task_slope(task_means: Array, predictor: Array) -> TEstimate:
    """Least squares of task means [..., tasks >= 3] on `predictor` [tasks], not all equal: change per unit of it.

    A task mean is over all seeds and languages. Rows of seeds and languages are no draws of tasks: as the unit they
    call four nulls out of five. Targets that share an intermediate stage share a point.
    """
    num_tasks = len(predictor)
    centred = predictor - predictor.mean()
    square = (centred**2).sum()
    slope = (task_means * centred).sum(axis=-1) / square
    residual = task_means - task_means.mean(axis=-1, keepdims=True) - slope[..., None] * centred
    variance = (residual**2).sum(axis=-1) / (num_tasks - 2)
    return TEstimate(slope, np.sqrt(variance / square), np.full_like(slope, num_tasks - 2))


def smallest_callable_r(num_tasks: int, level: float = 0.95) -> float:
    """The correlation that so many tasks must show at least to be called."""
    t = float(special.stdtrit(num_tasks - 2, (1 + level) / 2))
    return t / float(np.sqrt(t**2 + num_tasks - 2))


def detectable_r(num_tasks: int, level: float = 0.95, power: float = 0.8) -> float:
    """The correlation among all such tasks that so many (>= 3) call with that power, both variables being normal.

    Given the predictor, t is noncentral; its squares sum to chi-squared. Fisher's z, the usual approximation, says 0.82
    of nine tasks, where the power is 0.84 already.
    """
    critical = special.stdtrit(num_tasks - 2, (1 + level) / 2)
    squares = special.chdtri(num_tasks - 1, (np.arange(200)[::-1] + 0.5) / 200)

    def reached(r: float) -> float:
        shift = r / np.sqrt(1 - r**2) * np.sqrt(squares)
        return float(1 - special.nctdtr(num_tasks - 2, shift, critical).mean())

    return least(lambda r: reached(r) >= power, 0.0, 0.9999)
