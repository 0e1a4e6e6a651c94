"""The failure detector: the state of every rank of one launch attempt, and the verdict on the run that follows from it.

Knows neither sockets nor processes nor the clock (times come as arguments), so that every way of dying can be tested.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xstilts.core.exit_codes import EXIT_FAILED, EXIT_HUNG, EXIT_OK, EXIT_PREEMPTED, EXIT_USER_ERROR
from xstilts.distributed.protocol import RankStatus
from xstilts.launch.verdict import Verdict

SETTLE_SECONDS = 3.0
"""Time from the first sign of failure to the verdict, in which causes sort from effects."""
RECONNECT_SECONDS = 8.0
"""The same where the only sign is a broken connection: a rank that lives makes another when its old one times out."""
PREEMPTED_SECONDS = 30.0
"""Time in which all ranks have to end when one was preempted: it saved with them, or outside of training alone."""
SUSPECT_SECONDS = 8.0
"""A rank silent for this long when another fails is held to be the cause: what fails there is a collective."""
LAUNCHER_GRACE_SECONDS = 5.0
"""Time between the launcher's end and the last statuses that are still under way."""
_OVERTAKING_SECONDS = 0.1
"""By how much the report of a failed collective may come before the broken connection of the rank that caused it."""
TEARDOWN_SECONDS = 30.0
"""Time between the exit of the last rank and the end of the launcher."""


@dataclass(slots=True)
class _Rank:
    status: RankStatus
    updated: float
    """When `status` arrived."""
    disconnected: float | None = None


class FailureDetector:
    """Collects heartbeats and decides; ranks are numbered as in the hostfile."""

    def __init__(
        self, hosts: Sequence[str], *, now: float, silence: float, start_timeout: float, hang_timeout: float
    ) -> None:
        """A run of `len(hosts)` ranks, none of which has sent a heartbeat.

        Args:
            hosts: hostfile name of the host of each rank.
            now: the time at which the launcher was started, seconds on any steady clock.
            silence: seconds without a heartbeat after which a rank is given up.
            start_timeout: seconds within which every rank must have sent its first heartbeat.
            hang_timeout: seconds without progress on any rank after which the run hangs.
        """
        self._hosts = tuple(hosts)
        self._ranks: dict[int, _Rank] = {}
        self._started = now
        self._silence = silence
        self._start_timeout = start_timeout
        self._hang_timeout = hang_timeout
        self._launcher: tuple[int, float] | None = None
        self._all_exited: float | None = None
        self.checkpoint: str | None = None
        """Newest complete checkpoint, as rank 0 knows it; the others report the same ones, sooner or later."""

    def update(self, status: RankStatus, now: float) -> bool:
        """Takes in a heartbeat; `False` when it cannot be of this run, as the run has another number of ranks."""
        if status.world_size != len(self._hosts) or status.rank >= len(self._hosts):
            return False
        self._ranks[status.rank] = _Rank(status=status, updated=now)
        if status.rank == 0 and status.checkpoint is not None:
            self.checkpoint = status.checkpoint
        if self._all_exited is None and len(self._exited()) == len(self._hosts):
            self._all_exited = now
        return True

    def connection_lost(self, rank: int, now: float) -> None:
        """The connection of `rank` broke."""
        if (state := self._ranks.get(rank)) is not None and state.status.exit_code is None:
            state.disconnected = now

    def launcher_ended(self, code: int, now: float) -> None:
        """The `deepspeed` process ended with `code` (negative for a signal)."""
        if self._launcher is None:
            self._launcher = (code, now)

    def name(self, rank: int) -> str:
        """`rank 3 (host b)`."""
        return f"rank {rank} (host {self._hosts[rank]})"

    def steps(self) -> tuple[int, int] | None:
        """Lowest and highest last step over the ranks that train; `None` before the first."""
        steps = [state.status.step for state in self._ranks.values() if state.status.step is not None]
        return (min(steps), max(steps)) if steps else None

    def verdict(self, now: float) -> Verdict | None:
        """What the run has come to at time `now`; `None` while it goes on."""
        return self._broken(now) or self._silent(now) or self._hung() or self._absent(now) or self._finished(now)

    def _broken(self, now: float) -> Verdict | None:
        """The earliest failure: the launcher ends the neighbours of a dead rank, and collectives fail on all others."""
        failures: list[tuple[float, Verdict]] = []
        suspects: list[tuple[float, Verdict]] = []
        decided: list[float] = []  # when each failure will be old enough for a verdict
        for state in self._ranks.values():
            status = state.status
            if status.exit_code is not None:
                if status.exit_code == EXIT_PREEMPTED:
                    text = f"{self._at(status)} was preempted; what is left of the run is ended"
                    failures.append((state.updated, Verdict(EXIT_PREEMPTED, text)))
                    decided.append(
                        state.updated + PREEMPTED_SECONDS
                        if self._launcher is None
                        else self._launcher[1] + LAUNCHER_GRACE_SECONDS
                    )
                elif status.exit_code != EXIT_OK:
                    code = status.exit_code
                    text = f"{self._at(status)} ended with code {code}: {status.reason or 'no reason given'}"
                    # An unspecific failure may be a collective's, reported before the connection of its cause ends.
                    late = _OVERTAKING_SECONDS if code == EXIT_FAILED else 0.0
                    failures.append((state.updated + late, Verdict(code, text, hang=code == EXIT_HUNG)))
                    decided.append(state.updated + SETTLE_SECONDS)
            elif state.disconnected is not None:
                text = f"{self._at(status)} died without a word (killed, or out of memory)"
                failures.append((state.disconnected, Verdict(EXIT_FAILED, text)))
                decided.append(state.disconnected + RECONNECT_SECONDS)
            elif now - state.updated > SUSPECT_SECONDS:
                text = f"{self._at(status)} has been silent for {now - state.updated:.0f} s"
                suspects.append((state.updated, Verdict(EXIT_HUNG, text, hang=True)))
        codes = {status.exit_code for status in self._exited()}
        if len(self._exited()) == len(self._hosts):
            if codes <= {EXIT_OK, EXIT_PREEMPTED}:
                return None  # `_finished` decides
        elif not decided or now < min(decided):
            return None
        return min(failures + suspects, key=lambda failure: failure[0])[1]

    def _silent(self, now: float) -> Verdict | None:
        silent = [s for s in self._ranks.values() if s.status.exit_code is None and now - s.updated > self._silence]
        if not silent:
            return None
        hosts = {self._hosts[state.status.rank] for state in silent}
        whole = all(
            self._hosts.count(host) == sum(self._hosts[s.status.rank] == host for s in silent) for host in hosts
        )
        cause = "frozen, its host down or its link cut" if whole else "frozen"
        others = f" and {len(silent) - 1} more" if len(silent) > 1 else ""
        text = f"{self._at(silent[0].status)}{others} has been silent for {now - silent[0].updated:.0f} s ({cause})"
        return Verdict(EXIT_HUNG, text, hang=True)

    def _hung(self) -> Verdict | None:
        """One rank at work is enough: the others may be waiting for it to tokenise or to write."""
        running = [state.status for state in self._ranks.values() if state.status.exit_code is None]
        if not running or min(status.idle_seconds for status in running) < self._hang_timeout:
            return None
        last = max(running, key=lambda status: status.idle_seconds)
        text = f"no rank makes progress, {self._at(last)} for {last.idle_seconds:.0f} s (their stacks are dumped)"
        return Verdict(EXIT_HUNG, text, hang=True)

    def _absent(self, now: float) -> Verdict | None:
        absent = [rank for rank in range(len(self._hosts)) if rank not in self._ranks]
        if absent:
            names = ", ".join(self.name(rank) for rank in absent[:4]) + (", ..." if len(absent) > 4 else "")
            if self._launcher is not None and now - self._launcher[1] > LAUNCHER_GRACE_SECONDS:
                code = EXIT_USER_ERROR if self._launcher[0] == EXIT_USER_ERROR else EXIT_FAILED
                return Verdict(code, f"the launcher ended ({_how(self._launcher[0])}) before {names} had started")
            if now - self._started > self._start_timeout:
                return Verdict(EXIT_FAILED, f"{names} did not start within {self._start_timeout:.0f} s")
            return None
        running = [state for state in self._ranks.values() if state.status.exit_code is None]
        if running and self._launcher is not None and now - self._launcher[1] > LAUNCHER_GRACE_SECONDS:
            how = _how(self._launcher[0])
            first = min(running, key=lambda state: state.updated)
            if (silent := now - first.updated) > SUSPECT_SECONDS:  # mpirun gives up on a cut link before we do
                text = f"{self._at(first.status)} has been silent for {silent:.0f} s and the launcher ended ({how})"
                return Verdict(EXIT_HUNG, text, hang=True)
            return Verdict(EXIT_FAILED, f"the launcher ended ({how}) while {self._at(first.status)} was still running")
        return None

    def _finished(self, now: float) -> Verdict | None:
        if self._all_exited is None:
            return None
        code = EXIT_PREEMPTED if any(status.exit_code == EXIT_PREEMPTED for status in self._exited()) else EXIT_OK
        if self._launcher is None:
            if now - self._all_exited < TEARDOWN_SECONDS:
                return None
            text = f"every rank had finished but the launcher did not end within {TEARDOWN_SECONDS:.0f} s"
            return Verdict(code, text, all_ended=True)
        if code == EXIT_OK and self._launcher[0] != 0:
            text = f"the launcher ended ({_how(self._launcher[0])}) though every rank had finished"
            return Verdict(EXIT_FAILED, text)
        return Verdict(code, "", all_ended=True)

    def _exited(self) -> list[RankStatus]:
        """The last status of each rank that has reported its exit, in the order in which they came."""
        return [
            s.status for s in sorted(self._ranks.values(), key=lambda s: s.updated) if s.status.exit_code is not None
        ]

    def _at(self, status: RankStatus) -> str:
        step = f"step {status.step}, " if status.step is not None else ""
        return f"{self._name_as_found(status)}, last at {step}{status.phase},"

    def _name_as_found(self, status: RankStatus) -> str:
        """`name`, and what the host calls itself if that differs: the hostfile has an address, or the rank moved."""
        named, found = self._hosts[status.rank], status.host
        same = named == "localhost" or named.partition(".")[0] == found.partition(".")[0]
        return self.name(status.rank) if same else f"rank {status.rank} (host {named}, itself {found})"


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"code {code}"
