"""One launch among those that work on a study: what it takes on, and how it learns that another has it.

Rank 0 decides by what it sees in the run directory, and tells the others: all ranks work on the same thing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from xstilts.core.errors import UserError
from xstilts.distributed import dist, heartbeat
from xstilts.study import attempt
from xstilts.study.lease import Lease, Leases
from xstilts.study.owner import BEATS_PER_SILENCE, Presence, Watch, read_owner, read_owners
from xstilts.training.superseded import Superseded

_POLL_SECONDS = 1.0
_TOGETHER_SECONDS = 30.0


@dataclass(frozen=True)
class Offer:
    """Something that is ready to be done."""

    kind: Literal["stage", "evaluation"]
    key: str
    label: str
    final: Path
    """The folder that its end gives."""
    is_whole: Callable[[Path], bool]
    """Whether a folder holds all of it."""


@dataclass(frozen=True)
class Work:
    """What this launch has taken on."""

    kind: Literal["stage", "evaluation"]
    key: str
    label: str
    folder: Path
    final: Path
    is_done: bool
    """Whether the owner before left it whole, but for its name."""


class Lane:
    """Made by `joined`; its methods are collectives unless they say otherwise."""

    def __init__(self, run_dir: Path, silence: float, study: str) -> None:
        self._run_dir = run_dir
        self._study = study
        self._poll = min(_POLL_SECONDS, silence / BEATS_PER_SILENCE)
        self._presence = Presence(run_dir, silence, study)
        self._watch = Watch(run_dir, silence)
        self._leases = Leases(run_dir, self._presence, self._watch)
        self._held: Lease | None = None

    @property
    def id(self) -> str:
        """Names this launch; another name on every rank, of which that of rank 0 counts."""
        return self._presence.id

    def take(self, offers: Callable[[], list[Offer] | None]) -> Work | None:
        """The first offer that no other launch has, waited for where all are taken; None when there are none any more.

        Args:
            offers: what is ready now, in the order of preference; empty while it depends on work elsewhere, None at
                the end of all work. Called by rank 0.
        """
        return dist.on_first_rank_long_running(lambda: self._take(offers))

    def is_lost(self) -> bool:
        """Whether rank 0 knows that its work was taken over; False on other ranks. No collective; costs nothing."""
        if self._held is None or not (self._held.lost or self._presence.late):
            return False
        return not self._held.check()  # it may just have been woken

    def publish(self, work: Work) -> None:
        """Gives the work its name, and the lease back.

        Raises:
            Superseded: another launch has taken it over.
        """

        def rename() -> None:
            assert self._held is not None
            attempt.publish(work.folder, work.final, self._held)
            self._let_go("published")

        dist.on_first_rank(rename)

    @contextmanager
    def until_taken_over(self, work: Work) -> Iterator[None]:
        """Within it a takeover by another launch ends the work, in a line, and this launch goes on with other work."""
        try:
            yield
        except Superseded:
            dist.on_first_rank(lambda: self._abandon(work))
        except (UserError, OSError):
            # Whoever takes work over moves its folder away; what fails then is no failure. All ranks or none.
            if not dist.all_meet(f"xstilts/failed/{work.folder.name}", _TOGETHER_SECONDS):
                raise
            if not dist.on_first_rank(lambda: self._held is not None and not self._held.check()):
                raise
            dist.on_first_rank(lambda: self._abandon(work))

    @contextmanager
    def alone(self, kind: str, key: str) -> Iterator[None]:
        """Within it no other launch is in a context of the same kind and key; waits for those that are."""
        dist.on_first_rank_long_running(lambda: self._wait_for(kind, key))
        try:
            yield
        finally:
            if self._held is not None:  # no collective: this rank may be leaving by itself
                self._let_go("done")

    def is_last(self) -> bool:
        """Whether no other launch that lives works on the study. Where one does, this one ends, and leaves to that
        what the last one does. By rank 0, in a context of `alone`; no collective."""
        others = [owner for owner in read_owners(self._run_dir) if owner.study == self._study]
        if all(owner.id == self.id or self._watch.is_gone(owner.id) for owner in others):
            return True
        self._presence.end()
        return False

    def _join(self) -> None:
        self._presence.begin(self._on_beat)
        if self._study:
            self._refuse_other_studies()

    def _refuse_other_studies(self) -> None:
        """Two studies would write different things under the same names."""
        others = [owner for owner in read_owners(self._run_dir) if owner.study not in ("", self._study)]
        while others := [owner for owner in others if not self._watch.is_gone(owner.id)]:
            for owner in others:
                if self._watch.has_moved(owner.id):
                    user = f"process {owner.pid} on {owner.host}"
                    raise UserError(
                        f"{self._run_dir} is in use by another study ({user}); wait until that ends, or give another "
                        "--run-dir"
                    )
            self._wait()

    def _on_beat(self) -> None:
        self._watch.look()
        if (held := self._held) is not None:
            held.check()

    def _take(self, offers: Callable[[], list[Offer] | None]) -> Work | None:
        told = False
        while (ready := offers()) is not None:
            for offer in ready:
                lease = self._leases.take(offer.kind, offer.key, offer.label)
                if lease is not None and (work := self._begin(offer, lease)) is not None:
                    return work
            if not told:
                print("waiting for work of other launches", flush=True)
                told = True
            self._wait()
        return None

    def _begin(self, offer: Offer, lease: Lease) -> Work | None:
        try:
            folder = attempt.begin(offer.final, lease, offer.is_whole)
        except Superseded:
            return None
        if folder is None:
            lease.release("done")
            return None
        self._held = lease
        return Work(offer.kind, offer.key, offer.label, folder, offer.final, offer.is_whole(folder))

    def _wait_for(self, kind: str, key: str) -> None:
        told = False
        while (lease := self._leases.take(kind, key, f"{kind} {key}")) is None:
            if not told:
                print(f"waiting for another launch: {kind} {key}", flush=True)
                told = True
            self._wait()
        self._held = lease

    def _wait(self) -> None:
        dist.progress()
        time.sleep(self._poll)

    def _abandon(self, work: Work) -> None:
        assert self._held is not None
        owner = read_owner(self._run_dir, self._held.taken_by())
        by = f"process {owner.pid} on {owner.host}" if owner else "another launch"
        print(f"{work.label}: taken over by {by}, for this launch was silent; going on with other work", flush=True)
        attempt.abandon(work.folder, self._held)
        self._held = None

    def _let_go(self, why: str) -> None:
        assert self._held is not None
        self._held.release(why)
        self._held = None


@contextmanager
def joined(run_dir: Path, silence: float, study: str = "") -> Iterator[Lane]:
    """This launch among those of a run directory, which is there; a collective.

    Args:
        silence: seconds after which others may take over what this launch holds.
        study: what it computes; launches that compute another study are refused while this one lives.

    Raises:
        UserError: a launch that lives computes another study there.
    """
    lane = Lane(run_dir, silence, study)

    def tell(code: int, reason: str) -> None:
        lane._presence.end()

    try:
        dist.on_first_rank_long_running(lane._join)
        if dist.rank() == 0:
            heartbeat.before_sudden_end(tell)
        yield lane
    finally:
        heartbeat.not_before_sudden_end(tell)
        if dist.rank() == 0:
            lane._presence.end()
