"""Every exit code of `train.py`, with what it promises to whoever reads it (a shell, SLURM, a supervisor)."""

from __future__ import annotations

import errno

from xstilts.core.errors import DiskFullError, UserError

EXIT_OK = 0
"""All that was asked for is done."""

EXIT_FAILED = 1
"""Something broke that a relaunch may cure: a rank died, a link was cut, a host vanished, an unexpected exception."""

EXIT_USER_ERROR = 2
"""A mistake in a recipe, a file, a hostfile or a command line; a relaunch will fail in the same way."""

EXIT_CHECK_FAILED = 3
"""`train.py check` found something that would break or spoil a run."""

EXIT_DISK_FULL = 74
"""No space or quota left for a checkpoint or a result (EX_IOERR); the last good checkpoint is intact."""

EXIT_PREEMPTED = 75
"""Asked to stop, saved, stopped (EX_TEMPFAIL): launching again continues. Batch systems may requeue on it."""

EXIT_HUNG = 76
"""A rank made no progress for too long, dumped the stack of each thread and ended itself."""

EXIT_SUPERVISOR_LOST = 77
"""A rank heard nothing from its supervisor for too long (cut link, dead supervisor) and ended itself."""

EXIT_STOPPED = 78
"""A rank ended because its supervisor said so, some other rank having failed."""

EXIT_INTERRUPTED = 130
"""Ctrl-C in a command that runs on no ranks, as shells say it (128 + SIGINT)."""

EXIT_NOT_READ = 141
"""Nobody reads on what a command that runs on no ranks prints (`| head`), as shells say it (128 + SIGPIPE)."""

NOT_RELAUNCHED = frozenset({EXIT_OK, EXIT_USER_ERROR, EXIT_DISK_FULL, EXIT_PREEMPTED})
"""Codes after which `launch --max-restarts` does not try again: done, told to end, or not cured by it."""


def exit_code_of(error: BaseException) -> int:
    """The code with which a process ends that `error` brings down."""
    if isinstance(error, DiskFullError):
        return EXIT_DISK_FULL
    if isinstance(error, UserError):
        return EXIT_USER_ERROR
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return EXIT_DISK_FULL
    if isinstance(error, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    if isinstance(error, SystemExit):
        if error.code is None:
            return EXIT_OK
        return error.code if isinstance(error.code, int) else EXIT_FAILED
    return EXIT_FAILED
