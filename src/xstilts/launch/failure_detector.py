"""Who is alive: the state of every rank of one launch attempt, and the verdict on the run that follows from it.

Knows neither sockets nor processes nor the clock (times come as arguments), so that every way of dying can be tested.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xstilts.core.exit_codes import EXIT_FAILED, EXIT_HUNG, EXIT_OK, EXIT_PREEMPTED, EXIT_USER_ERROR
from xstilts.distributed.protocol import Beat

SETTLE_SECONDS = 3.0
"""Time from the first sign of failure to the verdict, in which causes sort from effects."""
RECONNECT_SECONDS = 8.0
"""The same where the only sign is a broken connection: a rank that lives makes another when its old one times out."""
PREEMPTED_SECONDS = 30.0
"""Time in which all ranks have to end when one was preempted: it saved with them, or outside of training alone."""
SUSPECT_SECONDS = 8.0
"""A rank silent for this long when another fails is held to be the cause: what fails there is a collective."""
LAUNCHER_GRACE_SECONDS = 5.0
"""Time between the launcher's end and the goodbyes that are still under way."""
_OVERTAKING_SECONDS = 0.1
TEARDOWN_SECONDS = 30.0
"""Time between the last goodbye and the end of the launcher."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a launch attempt ended."""

    code: int
    message: str
    """One line that names rank, host and step; "" for a run that ended well."""
    hang: bool = False
    """Whether the stacks of the other ranks tell something about the cause."""
    all_ended: bool = False
    """Whether every rank has said that it ends, done or preempted: there is nobody left to stop."""


@dataclass(slots=True)
class _Rank:
    beat: Beat
    heard: float
    gone: float | None = None


class RollCall:
    """Collects beats and decides; ranks are numbered as in the hostfile."""

    def __init__(self, hosts: Sequence[str], *, now: float, silence: float, start_timeout: float, hang: float) -> None:
        """A roll of `len(hosts)` ranks, none of which has been heard.

        Args:
            hosts: hostfile name of the host of each rank.
            now: the time at which the launcher was started, seconds on any steady clock.
            silence: seconds without a beat after which a rank is given up.
            start_timeout: seconds after which every rank must have been heard.
            hang: seconds without progress on any rank after which the run hangs.
        """
        self._hosts = tuple(hosts)
        self._ranks: dict[int, _Rank] = {}
        self._started = now
        self._silence = silence
        self._start_timeout = start_timeout
        self._hang = hang
        self._launcher: tuple[int, float] | None = None
        self._all_said_goodbye: float | None = None
        self.checkpoint: str | None = None
        """Newest complete checkpoint, as rank 0 knows it; the others tell of the same ones, sooner or later."""

    def hear(self, beat: Beat, now: float) -> bool:
        """Takes in a beat; `False` when it cannot be of this run, as the run has another number of ranks."""
        if beat.world != len(self._hosts) or beat.rank >= len(self._hosts):
            return False
        self._ranks[beat.rank] = _Rank(beat=beat, heard=now)
        if beat.rank == 0 and beat.checkpoint is not None:
            self.checkpoint = beat.checkpoint
        if self._all_said_goodbye is None and len(self._ended()) == len(self._hosts):
            self._all_said_goodbye = now
        return True

    def lost(self, rank: int, now: float) -> None:
        """The connection of `rank` broke."""
        if (state := self._ranks.get(rank)) is not None and state.beat.bye is None:
            state.gone = now

    def launcher_ended(self, code: int, now: float) -> None:
        """The `deepspeed` process ended with `code` (negative for a signal)."""
        if self._launcher is None:
            self._launcher = (code, now)

    def name(self, rank: int) -> str:
        """`rank 3 (host b)`."""
        return f"rank {rank} (host {self._hosts[rank]})"

    def steps(self) -> tuple[int, int] | None:
        """Lowest and highest last step over the ranks that train; `None` before the first."""
        steps = [state.beat.step for state in self._ranks.values() if state.beat.step is not None]
        return (min(steps), max(steps)) if steps else None

    def verdict(self, now: float) -> Verdict | None:
        """What the run has come to at time `now`; `None` while it goes on."""
        return self._broken(now) or self._silent(now) or self._hung() or self._absent(now) or self._finished(now)

    def _broken(self, now: float) -> Verdict | None:
        """The earliest failure: the launcher ends the neighbours of a dead rank, and collectives fail on all others."""
        signs: list[tuple[float, Verdict]] = []
        suspects: list[tuple[float, Verdict]] = []
        ripe: list[float] = []
        for state in self._ranks.values():
            beat = state.beat
            if beat.bye is not None:
                if beat.bye == EXIT_PREEMPTED:
                    text = f"{self._at(beat)} was preempted; what is left of the run is ended"
                    signs.append((state.heard, Verdict(EXIT_PREEMPTED, text)))
                    ripe.append(
                        state.heard + PREEMPTED_SECONDS
                        if self._launcher is None
                        else self._launcher[1] + LAUNCHER_GRACE_SECONDS
                    )
                elif beat.bye != EXIT_OK:
                    text = f"{self._at(beat)} ended with code {beat.bye}: {beat.reason or 'no reason given'}"
                    # An unspecific failure may be a collective's, told before we see the connection of its cause end.
                    late = _OVERTAKING_SECONDS if beat.bye == EXIT_FAILED else 0.0
                    signs.append((state.heard + late, Verdict(beat.bye, text, hang=beat.bye == EXIT_HUNG)))
                    ripe.append(state.heard + SETTLE_SECONDS)
            elif state.gone is not None:
                text = f"{self._at(beat)} died without a word (killed, or out of memory)"
                signs.append((state.gone, Verdict(EXIT_FAILED, text)))
                ripe.append(state.gone + RECONNECT_SECONDS)
            elif now - state.heard > SUSPECT_SECONDS:
                text = f"{self._at(beat)} has been silent for {now - state.heard:.0f} s"
                suspects.append((state.heard, Verdict(EXIT_HUNG, text, hang=True)))
        codes = {beat.bye for beat in self._ended()}
        if len(self._ended()) == len(self._hosts):
            if codes <= {EXIT_OK, EXIT_PREEMPTED}:
                return None  # `_finished` knows
        elif not ripe or now < min(ripe):
            return None
        return min(signs + suspects, key=lambda sign: sign[0])[1]

    def _silent(self, now: float) -> Verdict | None:
        silent = [s for s in self._ranks.values() if s.beat.bye is None and now - s.heard > self._silence]
        if not silent:
            return None
        hosts = {self._hosts[state.beat.rank] for state in silent}
        whole = all(self._hosts.count(host) == sum(self._hosts[s.beat.rank] == host for s in silent) for host in hosts)
        cause = "frozen, its host down or its link cut" if whole else "frozen"
        others = f" and {len(silent) - 1} more" if len(silent) > 1 else ""
        text = f"{self._at(silent[0].beat)}{others} has been silent for {now - silent[0].heard:.0f} s ({cause})"
        return Verdict(EXIT_HUNG, text, hang=True)

    def _hung(self) -> Verdict | None:
        """One rank at work is enough: the others may be waiting for it to tokenise or to write."""
        running = [state.beat for state in self._ranks.values() if state.beat.bye is None]
        if not running or min(beat.idle for beat in running) < self._hang:
            return None
        last = max(running, key=lambda beat: beat.idle)
        text = f"no rank makes progress, {self._at(last)} for {last.idle:.0f} s (their stacks are dumped)"
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
        running = [state for state in self._ranks.values() if state.beat.bye is None]
        if running and self._launcher is not None and now - self._launcher[1] > LAUNCHER_GRACE_SECONDS:
            how = _how(self._launcher[0])
            first = min(running, key=lambda state: state.heard)
            if (silent := now - first.heard) > SUSPECT_SECONDS:  # mpirun gives up on a cut link before we do
                text = f"{self._at(first.beat)} has been silent for {silent:.0f} s and the launcher ended ({how})"
                return Verdict(EXIT_HUNG, text, hang=True)
            return Verdict(EXIT_FAILED, f"the launcher ended ({how}) while {self._at(first.beat)} was still running")
        return None

    def _finished(self, now: float) -> Verdict | None:
        if self._all_said_goodbye is None:
            return None
        code = EXIT_PREEMPTED if any(beat.bye == EXIT_PREEMPTED for beat in self._ended()) else EXIT_OK
        if self._launcher is None:
            if now - self._all_said_goodbye < TEARDOWN_SECONDS:
                return None
            text = f"every rank had finished but the launcher did not end within {TEARDOWN_SECONDS:.0f} s"
            return Verdict(code, text, all_ended=True)
        if code == EXIT_OK and self._launcher[0] != 0:
            text = f"the launcher ended ({_how(self._launcher[0])}) though every rank had finished"
            return Verdict(EXIT_FAILED, text)
        return Verdict(code, "", all_ended=True)

    def _ended(self) -> list[Beat]:
        """Last words, in the order in which they came."""
        return [s.beat for s in sorted(self._ranks.values(), key=lambda s: s.heard) if s.beat.bye is not None]

    def _at(self, beat: Beat) -> str:
        step = f"step {beat.step}, " if beat.step is not None else ""
        return f"{self._name_as_found(beat)}, last at {step}{beat.phase},"

    def _name_as_found(self, beat: Beat) -> str:
        """`name`, and what the host calls itself if that differs: the hostfile has an address, or the rank moved."""
        named, found = self._hosts[beat.rank], beat.host
        same = named == "localhost" or named.partition(".")[0] == found.partition(".")[0]
        return self.name(beat.rank) if same else f"rank {beat.rank} (host {named}, itself {found})"


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"code {code}"
