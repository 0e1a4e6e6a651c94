"""What repeated looks at a study do to its false alarms: why an unfinished one has no verdict."""

from __future__ import annotations

import numpy as np
import page
from nulls import SCENARIOS, simulate

from xstilts.analysis.statistics.mean import seed_mean

_LOOKS = {
    "after each seed from 5 to 10": range(5, 11),
    "after each seed from 5 to 20": range(5, 21),
    "at 5 seeds and, if not called, at 10": (5, 10),
    "at 5, at 10 and at 20 seeds": (5, 10, 20),
    "once, at 20 seeds": (20,),
}
_NUM_LANGUAGES = 6

_INTRODUCTION = f"""\
The share of nulls (scenario *both*, {_NUM_LANGUAGES} languages) that are called at some look, the mean in these
languages being asked anew as seeds come in. So a study has no verdict before its last planned seed, and a report says
where seeds were added to the plan.
"""


def show(n: int) -> None:
    """Prints the section, from `n` nulls of the scenario *both*."""
    print("## Repeated looks\n")
    print(_INTRODUCTION)
    effects = simulate(SCENARIOS[3], np.random.default_rng(6), n, 20, _NUM_LANGUAGES)
    changes = effects.seeds + effects.cells
    called = {k: seed_mean(changes[:, :k]).p_value() <= 0.05 for k in range(5, 21)}
    rows = [
        [name, f"{100 * np.any([called[k] for k in looks], axis=0).mean():.1f} %"] for name, looks in _LOOKS.items()
    ]
    page.table(["looks", "false alarms"], rows)
