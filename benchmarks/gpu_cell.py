"""What the processes of `gpu.py` have in common: a line of JSON for each cell as soon as it is done, and how a speed is
computed from the times of steps."""

from __future__ import annotations

import itertools
import json
import os
import statistics
import sys
from collections.abc import Callable, Sequence
from typing import Any

NUM_WARM = 4
"""Steps that are not counted: kernels are chosen, memory is taken, layers compiled."""


def run_cells(measure: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Measures each cell of which standard input has a line, and prints a line with what was found, or the error.

    Ends after an error other than a user's: the device may be of no more use, or its memory taken.
    """
    for line in sys.stdin:
        ends = False
        try:
            found = measure(json.loads(line))
        except Exception as error:  # of any library: it is the cell's result
            found = {"error": f"{type(error).__name__}: {str(error)[:1200]}"}
            ends = type(error).__name__ != "UserError" or "memory" in str(error)
        print(json.dumps({"ends": ends, **found}), flush=True)
        if ends:
            os._exit(0)


def speed(
    ends: Sequence[float], tokens: Sequence[int], flops: Sequence[float] = (), *, leaving_out_slow: bool = True
) -> dict[str, Any]:
    """Real tokens, and FLOPs where they are given, a second from the time at the end of each step.

    The first steps do not count. Of the others those are left out, and counted, that took over three times the median:
    something was compiled for another shape.
    """
    took = [after - before for before, after in itertools.pairwise(ends)]
    counted = list(zip(took, tokens[1:], flops[1:] or itertools.repeat(0.0), strict=False))[NUM_WARM - 1 :]
    limit = 3 * statistics.median(seconds for seconds, _, _ in counted)
    kept = [each for each in counted if each[0] <= limit or not leaving_out_slow]
    seconds, num_tokens, num_flops = (sum(column) for column in zip(*kept, strict=True))
    found = {
        "tokens_per_step": num_tokens / len(kept),
        "seconds_per_step": seconds / len(kept),
        "tokens_per_second": num_tokens / seconds,
        "slow_steps_left_out": len(counted) - len(kept),
    }
    return found | ({"flops_per_second": num_flops / seconds} if flops else {})
