"""One start of the `deepspeed` launcher, with all that its ranks need to find each other and the supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xstilts.core.errors import UserError
from xstilts.launch.deepspeed_command import deepspeed_command, env_file_text, launch_environment
from xstilts.launch.hostfile import Host
from xstilts.launch.options import LaunchOptions
from xstilts.launch.reachability import Reachability


@dataclass(frozen=True, slots=True)
class LauncherProcess:
    """The started launcher, and what its ranks may leave behind."""

    process: asyncio.subprocess.Process
    shared_memory: str
    """Glob of DeepSpeed's files in shared memory, for whose names the rendezvous is used."""


@contextlib.asynccontextmanager
async def start_launcher(
    options: LaunchOptions,
    hosts: Sequence[Host],
    reachability: Mapping[str, Reachability],
    *,
    run_id: str,
    server_port: int,
) -> AsyncIterator[LauncherProcess]:
    """Starts the ranks of the run `run_id`, whose supervisor listens on `server_port` of this machine.

    Raises:
        UserError: as `deepspeed_command` and `launch_environment`, or no port is free.
    """
    master = (options.master_addr or reachability[hosts[0].name].address, options.master_port or free_port())
    addresses = dict.fromkeys(f"{host.our_address}:{server_port}" for host in reachability.values())
    environment, exports = launch_environment(
        run_id=run_id, supervisor=",".join(addresses), silence=options.silence, base=os.environ
    )
    if options.launcher == "openmpi":  # DeepSpeed hands these on under pdsh alone
        exports |= {"MASTER_ADDR": master[0], "MASTER_PORT": str(master[1])}
    command = deepspeed_command(
        hostfile=options.hostfile,
        hosts=hosts,
        include=options.include,
        launcher=options.launcher,
        launcher_args=options.launcher_args,
        master=master,
        script=options.script,
        arguments=options.arguments,
        exports=tuple(exports),
    )
    with _env_file(exports) as env_file:
        process = await asyncio.create_subprocess_exec(
            *command,
            env={**environment, **exports, "DS_ENV_FILE": str(env_file)},
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C would reach DeepSpeed, which then ends other jobs of this python too
        )
        yield LauncherProcess(process, f"/dev/shm/deepspeed_allreduce_buffer_*_{master[0]}_{master[1]}_*")


@contextlib.contextmanager
def _env_file(variables: dict[str, str]) -> Iterator[Path]:
    """A private file that DeepSpeed reads in place of `.deepspeed_env`."""
    with tempfile.TemporaryDirectory(prefix="xstilts-launch-") as folder:
        path = Path(folder) / "env"
        path.touch(mode=0o600)
        path.write_text(env_file_text(variables), encoding="utf-8")
        yield path


def free_port() -> int:
    """A port free on this machine, below the range from which kernels give ports to outgoing connections."""
    for _ in range(100):
        port = 20000 + secrets.randbelow(10000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            return port
    raise UserError("no free port between 20000 and 30000; name one with --master-port")
