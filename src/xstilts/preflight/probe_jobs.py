"""The jobs that run a probe's function on a host, in the environment that a rank would have there.

All of it goes by the standard input: what stands on a command line is seen by every user of that host, and the
variables of `.deepspeed_env` may be secrets.
"""

from __future__ import annotations

import inspect
import os
import shlex
import sys

from xstilts.launch.deepspeed_command import launched_environment
from xstilts.launch.ssh import Job
from xstilts.preflight import probe, probe_devices

_END = "END_OF_XSTILTS_PROBE"


def probe_job(host: str, expression: str) -> Job:
    """A job for `host` that prints the value of the Python `expression`, which may use what the probes define.

    Raises:
        UserError: as `rank_environment`.
    """
    # A shell sets the variables before Python starts, which reads some (PYTHONPATH) only then.
    lines = [f"export {name}={shlex.quote(value)}" for name, value in launched_environment(os.environ).items()]
    sources = (inspect.getsource(probe_devices), inspect.getsource(probe))
    program = "\n".join([*sources, f"print({expression})"])
    lines.append(f"exec {shlex.quote(sys.executable)} - <<'{_END}'\n{program}\n{_END}")
    return Job(host, ("sh", "-s"), "\n".join(lines) + "\n")
