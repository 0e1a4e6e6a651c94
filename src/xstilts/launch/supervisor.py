"""`train.py launch`: the `deepspeed` launcher under a supervisor that ends a broken run everywhere, and restarts it.

The launcher alone promises little: it can exit with 0 when its child was killed, leaves the ranks of other hosts
running, and waits for ever on a cut link. Here every rank sends heartbeats, from which the failure detector concludes.
When it finds the run broken, the supervisor tells the ranks to end, kills what is left on each host by the run's id,
says which rank on which host was the cause and which checkpoint is the last good one, and restarts from it.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import sys
import time
from collections.abc import Mapping

from xstilts.core.exit_codes import EXIT_FAILED, EXIT_PREEMPTED, NOT_RELAUNCHED
from xstilts.distributed.protocol import ONE_REQUEST_SECONDS
from xstilts.launch.failure_detector import FailureDetector
from xstilts.launch.hostfile import host_of_rank, parse_hostfile
from xstilts.launch.kill_leftovers_jobs import kill_leftovers_on
from xstilts.launch.lanes import included
from xstilts.launch.launcher_process import LauncherProcess, start_launcher
from xstilts.launch.options import LaunchOptions
from xstilts.launch.reachability import Reachability, check_reachability, require_reachable
from xstilts.launch.supervisor_server import SupervisorServer
from xstilts.launch.verdict import Verdict

_POLL_SECONDS = 0.2
_STOP_SECONDS = 5.0
"""Time that the ranks have between the verdict and the signals: to receive the command, and to dump their stacks."""
_RETURN_SECONDS = 180.0
"""Time that hosts have to answer again before a relaunch."""


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
        self._hosts = included(options.hostfile, parse_hostfile(options.hostfile), options.include)
        self._server = SupervisorServer()
        self._run_id = ""
        self._asked_at: float | None = None

    async def run(self) -> int:
        self._handle_signals()
        reachability = await asyncio.to_thread(check_reachability, self._hosts)
        require_reachable(self._options.hostfile, self._hosts, reachability)
        async with self._server:
            for attempt in range(self._options.max_restarts + 1):
                if self._asked_at is not None:
                    return EXIT_PREEMPTED  # nothing runs, and what was saved is saved
                started = time.monotonic()
                verdict = await self._attempt(reachability)
                if (
                    verdict.code in NOT_RELAUNCHED
                    or self._asked_at is not None
                    or attempt == self._options.max_restarts
                ):
                    break
                _log(f"relaunch {attempt + 1} of {self._options.max_restarts} after {time.monotonic() - started:.0f} s")
                if not await self._hosts_are_back():
                    break
        return verdict.code

    async def _attempt(self, reachability: Mapping[str, Reachability]) -> Verdict:
        """One launch from its start to the end of its last process."""
        options = self._options
        self._run_id = f"xs{secrets.token_hex(8)}"
        detector = FailureDetector(
            [host.name for host in host_of_rank(self._hosts)],
            now=time.monotonic(),
            silence=options.silence,
            start_timeout=options.start_timeout,
            hang_timeout=options.hang_timeout,
        )
        self._server.start_run(self._run_id, detector)
        async with start_launcher(
            options, self._hosts, reachability, run_id=self._run_id, server_port=self._server.port
        ) as launcher:
            verdict = await self._watch(launcher.process, detector)
        await self._end(verdict, launcher)
        await launcher.process.wait()
        return verdict

    async def _watch(self, process: asyncio.subprocess.Process, detector: FailureDetector) -> Verdict:
        ended = asyncio.create_task(process.wait())
        while True:
            await asyncio.wait({ended}, timeout=_POLL_SECONDS)
            now = time.monotonic()
            if ended.done():
                await asyncio.sleep(_POLL_SECONDS)
                detector.launcher_ended(ended.result(), now)
            if self._asked_at is not None and self._server.command == "stop":
                return Verdict(EXIT_FAILED, "ended at once, as asked")
            if (verdict := detector.verdict(now)) is not None:
                return verdict
            if self._asked_at is not None and now - self._asked_at > self._options.save_timeout:
                return Verdict(EXIT_FAILED, f"not saved within {self._options.save_timeout:.0f} s of being asked")

    async def _end(self, verdict: Verdict, launcher: LauncherProcess) -> None:
        """Ends every process of the attempt on every host; a run that ended well has none, which is checked as well."""
        if verdict.message:
            _log(f"{verdict.message}; {self._last_checkpoint()}")
        if not verdict.all_ended:
            self._server.command = "dump" if verdict.hang else "stop"
            await asyncio.sleep(_STOP_SECONDS)
        if launcher.process.returncode is None:
            # Not SIGTERM: DeepSpeed would run `pkill` on every host, with a pattern that also fits other jobs.
            launcher.process.kill()
        names = [host.name for host in self._hosts if host.name != "localhost"]
        results = await asyncio.to_thread(kill_leftovers_on, names, self._run_id, launcher.shared_memory)
        for result in results:
            if not result.clean:
                _log(f"{result}; its ranks end by themselves {self._options.silence + 10:.0f} s after losing contact")
        if not verdict.all_ended:
            _log("the run is over: " + ", ".join(str(result) for result in results if result.clean))

    async def _hosts_are_back(self) -> bool:
        """Waits until every host answers and is certain to hold no process of the last attempt."""
        deadline = time.monotonic() + _RETURN_SECONDS
        names = [host.name for host in self._hosts]
        while True:
            results = await asyncio.to_thread(kill_leftovers_on, names, self._run_id, "")
            unsure = [result for result in results if not result.clean]
            if not unsure:
                return True
            if time.monotonic() > deadline:
                _log(f"no relaunch: {unsure[0]}")
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
            _log(f"{signum.name}: asking every rank to save and end; once more after 5 s to end at once")
            self._asked_at, self._server.command = now, "save"
        elif now - self._asked_at > ONE_REQUEST_SECONDS:
            self._server.command = "stop"

    def _last_checkpoint(self) -> str:
        if self._server.checkpoint is not None:
            return f"last good checkpoint: {self._server.checkpoint}"
        return "no checkpoint was written since the launch"


def _log(text: str) -> None:
    with contextlib.suppress(OSError):  # whoever read it is gone: the run is supervised all the same
        print(f"launch: {text}", file=sys.stderr, flush=True)
