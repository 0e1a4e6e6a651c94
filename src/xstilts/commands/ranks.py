"""Running a command on all ranks, and ending all of them in order."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from xstilts.commands.errors import print_error
from xstilts.core.errors import StorageError, UserError
from xstilts.core.exit_codes import exit_code_of
from xstilts.core.imports import collector_off


def is_one_of_many_ranks() -> bool:
    """Whether other ranks were started with this process: they must come to the same end as it does."""
    return any(os.environ.get(name, "1") != "1" for name in ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE"))


def run_on_ranks(work: Callable[[], int], *, together_seconds: float = 30.0) -> int:
    """Runs `work` inside the process group; its exit code.

    An error that all ranks meet together, a user's mistake or a checkpoint to stop at, ends them in order. Any other
    ends this process at once, for its peers may be inside a collective. Ranks that do not meet the same end within
    `together_seconds` have not met it together.
    """
    from xstilts.distributed import heartbeat
    from xstilts.training.monitors.preemption import Preempted, ending_at_once

    with heartbeat.Heartbeat() as heart:
        try:
            with ending_at_once():
                with collector_off():
                    import xstilts.study.open  # noqa: F401, what every command of ranks imports
                    from xstilts.distributed import dist, process_group  # noqa: F401

                dist.set_up()
                try:
                    code = work()
                except RuntimeError:
                    # So a collective breaks when another rank ends first: its code is to be the run's.
                    heartbeat.await_word()
                    raise
        except (UserError, StorageError, Preempted) as end:
            if not dist.all_end(together_seconds):
                print(f"error: rank {dist.rank()} alone: {end}", file=sys.stderr, flush=True)
                heart.close(exit_code_of(end), str(end))
                os._exit(exit_code_of(end))
            if isinstance(end, Preempted):
                dist.tear_down()
                raise
            # Before the ranks part: at the first one's exit the launcher kills the others.
            print_error(end)
            dist.tear_down()
            heart.close(exit_code_of(end), str(end))
            return exit_code_of(end)
        dist.tear_down()
        heart.close(code)
        return code
