"""`train.py launch`: the `deepspeed` launcher under a supervisor that ends a broken run everywhere, and restarts it.

The launcher alone promises little: it can exit with 0 when its child was killed, leaves the ranks of other hosts
running, and waits for ever on a cut link. Here every rank beats (`heartbeat`), the supervisor judges (`roll_call`), and
when it finds the run broken it tells the ranks to end, ends what is left on each host by the run's id (`contact`,
`reap`), says which rank on which host was the cause and which checkpoint is the last good one, and restarts from it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xstilts.core.errors import UserError
from xstilts.core.exit_codes import EXIT_FAILED, EXIT_PREEMPTED, NOT_RELAUNCHED
from xstilts.launch.deepspeed_command import Launcher, deepspeed_command, env_file_text, launch_environment
from xstilts.launch.failure_detector import RollCall, Verdict
from xstilts.launch.hostfile import host_of_rank, parse_hostfile
from xstilts.launch.reachability import Contact, contact_hosts, end_run, require_contact
from xstilts.launch.supervisor_server import Switchboard

_POLL_SECONDS = 0.2
_LAST_WORDS_SECONDS = 5.0
"""Time that the ranks have between the verdict and the signals: a beat to hear of it, and to dump their stacks."""
_ONE_REQUEST_SECONDS = 5.0
"""Signals within this time are one request: `scancel` and the like tell every process of a job."""
_RETURN_SECONDS = 180.0
"""Time that hosts have to answer again before a relaunch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchOptions:
    """What `train.py launch` was asked for."""

    hostfile: Path
    script: Path
    """`train.py`, at the same path on every host."""
    arguments: tuple[str, ...]
    """What follows `--`: the arguments of `script`."""
    launcher: Launcher = "pdsh"
    launcher_args: str = ""
    """Passed on to the launcher, e.g. `--mca btl_tcp_if_include ib0` for openmpi."""
    master_addr: str | None = None
    """Address of the first host for the ranks' rendezvous; by default the one on which ssh reached it."""
    master_port: int | None = None
    """By default a port that is free on this machine."""
    max_restarts: int = 0
    silence: float = 30.0
    """Seconds without a heartbeat after which a rank is given up, and after which a rank gives its supervisor up."""
    start_timeout: float = 600.0
    """Seconds within which every rank must have started."""
    hang_timeout: float = 1800.0
    """Seconds without progress on any rank after which the run is held to hang."""
    save_timeout: float = 600.0
    """Seconds that the ranks have to save and end when the launch is asked to stop."""


def run_launch(options: LaunchOptions) -> int:
    """Runs to the end, with relaunches; the exit code is that of `exit_codes`.

    SIGTERM, SIGUSR1, SIGHUP and Ctrl-C ask all ranks to save and end (exit code 75); another one, more than 5 s later,
    ends them at once.

    Raises:
        UserError: bad hostfile or `.deepspeed_env`, or a host that cannot be reached at the first attempt.
    """
    return asyncio.run(_Supervisor(options).run())


class _Supervisor:
    def __init__(self, options: LaunchOptions) -> None:
        self._options = options
        self._hosts = parse_hostfile(options.hostfile)
        self._switchboard = Switchboard()
        self._run_id = ""
        self._asked_at: float | None = None

    async def run(self) -> int:
        self._handle_signals()
        contacts = await asyncio.to_thread(contact_hosts, self._hosts)
        require_contact(self._options.hostfile, self._hosts, contacts)
        async with self._switchboard:
            for attempt in range(self._options.max_restarts + 1):
                if self._asked_at is not None:
                    return EXIT_PREEMPTED  # nothing runs, and what was saved is saved
                started = time.monotonic()
                verdict = await self._attempt(contacts)
                if (
                    verdict.code in NOT_RELAUNCHED
                    or self._asked_at is not None
                    or attempt == self._options.max_restarts
                ):
                    break
                _say(f"relaunch {attempt + 1} of {self._options.max_restarts} after {time.monotonic() - started:.0f} s")
                if not await self._hosts_are_back():
                    break
        return verdict.code

    async def _attempt(self, contacts: dict[str, Contact]) -> Verdict:
        """One launch from its start to the end of its last process."""
        options = self._options
        self._run_id = f"xs{secrets.token_hex(8)}"
        master = (options.master_addr or contacts[self._hosts[0].name].address, options.master_port or _free_port())
        addresses = dict.fromkeys(f"{contact.our_address}:{self._switchboard.port}" for contact in contacts.values())
        environment, exports = launch_environment(
            run_id=self._run_id, supervisor=",".join(addresses), silence=options.silence, base=os.environ
        )
        if options.launcher == "openmpi":  # DeepSpeed hands these on under pdsh alone
            exports |= {"MASTER_ADDR": master[0], "MASTER_PORT": str(master[1])}
        command = deepspeed_command(
            hostfile=options.hostfile,
            hosts=self._hosts,
            launcher=options.launcher,
            launcher_args=options.launcher_args,
            master=master,
            script=options.script,
            arguments=options.arguments,
            exports=tuple(exports),
        )
        roll = RollCall(
            [host.name for host in host_of_rank(self._hosts)],
            now=time.monotonic(),
            silence=options.silence,
            start_timeout=options.start_timeout,
            hang=options.hang_timeout,
        )
        self._switchboard.begin(self._run_id, roll)
        with _env_file(exports) as env_file:
            process = await asyncio.create_subprocess_exec(
                *command,
                env={**environment, **exports, "DS_ENV_FILE": str(env_file)},
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,  # a Ctrl-C would reach DeepSpeed, which then ends other jobs of this python too
            )
            verdict = await self._watch(process, roll)
        await self._end(verdict, process, f"/dev/shm/deepspeed_allreduce_buffer_*_{master[0]}_{master[1]}_*")
        await process.wait()
        return verdict

    async def _watch(self, process: asyncio.subprocess.Process, roll: RollCall) -> Verdict:
        ended = asyncio.create_task(process.wait())
        while True:
            await asyncio.wait({ended}, timeout=_POLL_SECONDS)
            now = time.monotonic()
            if ended.done():
                await asyncio.sleep(_POLL_SECONDS)
                roll.launcher_ended(ended.result(), now)
            if self._asked_at is not None and self._switchboard.command == "stop":
                return Verdict(EXIT_FAILED, "ended at once, as asked")
            if (verdict := roll.verdict(now)) is not None:
                return verdict
            if self._asked_at is not None and now - self._asked_at > self._options.save_timeout:
                return Verdict(EXIT_FAILED, f"not saved within {self._options.save_timeout:.0f} s of being asked")

    async def _end(self, verdict: Verdict, process: asyncio.subprocess.Process, shared_memory: str) -> None:
        """Ends every process of the attempt on every host; a run that ended well has none, which is checked as well."""
        if verdict.message:
            _say(f"{verdict.message}; {self._last_checkpoint()}")
        if not verdict.all_ended:
            self._switchboard.command = "dump" if verdict.hang else "stop"
            await asyncio.sleep(_LAST_WORDS_SECONDS)
        if process.returncode is None:
            process.kill()  # SIGTERM would have DeepSpeed run `pkill` on every host, which also fits other jobs
        names = [host.name for host in self._hosts if host.name != "localhost"]
        endings = await asyncio.to_thread(end_run, names, self._run_id, shared_memory)
        for ending in endings:
            if not ending.clean:
                _say(f"{ending}; its ranks end by themselves {self._options.silence + 10:.0f} s after losing contact")
        if not verdict.all_ended:
            _say("the run is over: " + ", ".join(str(ending) for ending in endings if ending.clean))

    async def _hosts_are_back(self) -> bool:
        """Waits until every host answers and is certain to hold no process of the last attempt."""
        deadline = time.monotonic() + _RETURN_SECONDS
        names = [host.name for host in self._hosts]
        while True:
            endings = await asyncio.to_thread(end_run, names, self._run_id, "")
            unsure = [ending for ending in endings if not ending.clean]
            if not unsure:
                return True
            if time.monotonic() > deadline:
                _say(f"no relaunch: {unsure[0]}")
                return False
            await asyncio.sleep(5)

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP, signal.SIGINT):
            if signal.getsignal(signum) is not signal.SIG_IGN:  # as `nohup` has it
                loop.add_signal_handler(signum, self._asked_to_stop, signum)

    def _asked_to_stop(self, signum: signal.Signals) -> None:
        now = time.monotonic()
        if self._asked_at is None:
            _say(f"{signum.name}: asking every rank to save and end; once more after 5 s to end at once")
            self._asked_at, self._switchboard.command = now, "save"
        elif now - self._asked_at > _ONE_REQUEST_SECONDS:
            self._switchboard.command = "stop"

    def _last_checkpoint(self) -> str:
        if self._switchboard.checkpoint is not None:
            return f"last good checkpoint: {self._switchboard.checkpoint}"
        return "no checkpoint was written since the launch"


@contextlib.contextmanager
def _env_file(variables: dict[str, str]) -> Iterator[Path]:
    """A private file that DeepSpeed reads in place of `.deepspeed_env`."""
    with tempfile.TemporaryDirectory(prefix="xstilts-launch-") as folder:
        path = Path(folder) / "env"
        path.touch(mode=0o600)
        path.write_text(env_file_text(variables), encoding="utf-8")
        yield path


def _free_port() -> int:
    """A port free on this machine, below the range from which kernels give ports to outgoing connections."""
    for _ in range(100):
        port = 20000 + secrets.randbelow(10000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            return port
    raise UserError("no free port between 20000 and 30000; name one with --master-port")


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # whoever read it is gone: the run is supervised all the same
        print(f"launch: {text}", file=sys.stderr, flush=True)
