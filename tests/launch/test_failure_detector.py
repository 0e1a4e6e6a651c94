"""Every way in which a run can end, and what is said about it."""

from __future__ import annotations

from xstilts.distributed.protocol import Beat
from xstilts.launch.failure_detector import RollCall, Verdict


def _roll(now: float = 0.0) -> RollCall:
    return RollCall(["a", "b"], now=now, silence=35, start_timeout=300, hang=1800)


def _beat(
    rank: int, *, step: int | None = None, bye: int | None = None, reason: str = "", checkpoint: str | None = None
) -> Beat:
    phase = "train" if step is not None else "start"
    return Beat(
        run="r",
        rank=rank,
        world=2,
        host="ab"[rank],
        pid=1,
        step=step,
        phase=phase,
        bye=bye,
        reason=reason,
        checkpoint=checkpoint,
    )


def _verdict(roll: RollCall, now: float) -> Verdict:
    verdict = roll.verdict(now)
    assert verdict is not None
    assert "\n" not in verdict.message
    return verdict


def test_good_end_needs_all_goodbyes_and_the_launcher() -> None:
    roll = _roll()
    assert roll.hear(_beat(0, step=1), 1) and roll.hear(_beat(1, step=1), 1)
    roll.hear(_beat(0, step=2, bye=0), 2)
    assert roll.verdict(2) is None
    roll.hear(_beat(1, step=2, bye=0), 3)
    assert roll.verdict(3) is None
    roll.launcher_ended(0, 4)
    assert _verdict(roll, 4) == Verdict(0, "", all_ended=True)


def test_crash_during_teardown_is_not_a_good_end() -> None:
    roll = _roll()
    for rank in range(2):
        roll.hear(_beat(rank, bye=0), 1)
    roll.launcher_ended(250, 2)
    assert _verdict(roll, 2).code == 1


def test_preempted() -> None:
    roll = _roll()
    for rank in range(2):
        roll.hear(_beat(rank, step=7, bye=75), 1)
    roll.launcher_ended(75, 2)
    assert _verdict(roll, 2) == Verdict(75, "", all_ended=True)


def test_preempted_outside_of_training_while_its_peer_waits_for_it() -> None:
    roll = _roll()
    roll.hear(_beat(1, step=7), 1)
    roll.hear(_beat(0, step=7, bye=75, reason="SIGTERM outside of training"), 2)
    roll.hear(_beat(1, step=7), 31)
    assert roll.verdict(31) is None
    verdict = _verdict(roll, 32)
    assert verdict.code == 75 and not verdict.all_ended
    roll.hear(_beat(1, step=7, bye=1, reason="RuntimeError: Connection closed by peer"), 3)
    assert _verdict(roll, 3).code == 75
    roll = _roll()
    roll.hear(_beat(0, bye=75), 2)
    roll.launcher_ended(75, 3)
    assert _verdict(roll, 8.1).code == 75


def test_failure_before_a_preemption_is_a_failure() -> None:
    roll = _roll()
    roll.hear(_beat(0, step=7), 1)
    roll.hear(_beat(1, step=7), 1)
    roll.lost(1, 1.5)
    roll.hear(_beat(0, step=7, bye=75), 2)
    assert _verdict(roll, 10).code == 1


def test_killed_rank_is_named_although_its_peer_complains_too() -> None:
    roll = _roll()
    roll.hear(_beat(0, step=5), 10)
    roll.hear(_beat(1, step=5), 10)
    roll.hear(_beat(0, step=5, bye=1, reason="RuntimeError: Connection reset by peer"), 11.0)
    roll.lost(1, 11.05)
    assert roll.verdict(12) is None
    verdict = _verdict(roll, 14.2)
    assert verdict.message.startswith("rank 1 (host b), last at step 5, train, died without a word")
    assert verdict.code == 1


def test_failing_rank_is_named_although_the_launcher_then_kills_its_neighbour() -> None:
    roll = _roll()
    roll.hear(_beat(1, step=5), 10)
    roll.hear(_beat(0, step=5, bye=74, reason="OSError: No space left on device"), 11)
    roll.lost(1, 11.05)
    verdict = _verdict(roll, 16)
    assert verdict.code == 74
    assert "rank 0 (host a)" in verdict.message and "No space left" in verdict.message


def test_frozen_rank_is_named_although_its_peer_times_out_first() -> None:
    roll = _roll()
    roll.hear(_beat(0, step=5), 30)
    roll.hear(_beat(1, step=5), 10)
    roll.hear(_beat(0, step=5, bye=1, reason="RuntimeError: timed out"), 31)
    assert _verdict(roll, 34.5).message.startswith("rank 1 (host b), last at step 5, train, has been silent for 24 s")


def test_reconnecting_is_no_failure() -> None:
    roll = _roll()
    roll.hear(_beat(0), 1)
    roll.hear(_beat(1), 1)
    roll.hear(_beat(0), 8)
    roll.lost(1, 2)
    assert roll.verdict(9.5) is None
    roll.hear(_beat(1), 9.6)
    roll.hear(_beat(0), 20)
    assert roll.verdict(20) is None


def test_host_that_calls_itself_otherwise_is_named_in_both_ways() -> None:
    roll = _roll()
    roll.hear(_beat(1, step=5).model_copy(update={"host": "node-07.cluster"}), 10)
    roll.lost(1, 11)
    assert _verdict(roll, 20).message.startswith("rank 1 (host b, itself node-07.cluster), last at step 5")


def test_silence() -> None:
    roll = _roll()
    roll.hear(_beat(0, step=3), 10)
    roll.hear(_beat(1, step=3), 10)
    roll.hear(_beat(0, step=3), 45)
    assert roll.verdict(45) is None
    verdict = _verdict(roll, 45.1)
    assert verdict.code == 76 and verdict.hang
    assert (
        verdict.message
        == "rank 1 (host b), last at step 3, train, has been silent for 35 s (frozen, its host down or its link cut)"
    )


def test_launcher_that_ends_with_zero_while_ranks_run() -> None:
    roll = _roll()
    roll.hear(_beat(0, step=3), 10)
    roll.hear(_beat(1, step=3), 10)
    roll.launcher_ended(0, 11)
    assert roll.verdict(12) is None
    verdict = _verdict(roll, 17)
    assert verdict.code == 1
    assert verdict.message.startswith("the launcher ended (code 0) while rank 0 (host a)")


def test_launcher_that_notices_a_cut_link_first() -> None:
    roll = _roll()
    roll.hear(_beat(1, step=3), 10)
    roll.launcher_ended(255, 30)
    roll.hear(_beat(0, step=3), 35)
    verdict = _verdict(roll, 35.5)
    assert verdict.code == 76
    assert verdict.message.startswith("rank 1 (host b), last at step 3, train, has been silent for 26 s and ")


def test_ranks_that_never_start() -> None:
    roll = _roll()
    roll.hear(_beat(0), 299)
    assert roll.verdict(299) is None
    assert _verdict(roll, 301).message == "rank 1 (host b) did not start within 300 s"
    roll = _roll()
    roll.launcher_ended(2, 1)
    assert _verdict(roll, 7).code == 2
    roll = _roll()
    roll.launcher_ended(-9, 1)
    assert (
        _verdict(roll, 7).message == "the launcher ended (signal 9) before rank 0 (host a), rank 1 (host b) had started"
    )


def test_launcher_that_does_not_end() -> None:
    roll = _roll()
    for rank in range(2):
        roll.hear(_beat(rank, bye=0), 1)
    assert roll.verdict(30) is None
    assert _verdict(roll, 31.5).code == 0


def test_hang_is_no_progress_anywhere() -> None:
    roll = _roll()
    roll.hear(_beat(0, step=3).model_copy(update={"idle": 1900.0}), 10)
    roll.hear(_beat(1, step=3).model_copy(update={"idle": 5.0}), 10)
    assert roll.verdict(10) is None
    roll.hear(_beat(1, step=3).model_copy(update={"idle": 1801.0}), 11)
    verdict = _verdict(roll, 11)
    assert verdict.code == 76 and verdict.hang
    assert "rank 0 (host a), last at step 3, train, for 1900 s" in verdict.message


def test_foreign_world_is_refused_and_checkpoint_remembered() -> None:
    roll = _roll()
    assert not roll.hear(_beat(0).model_copy(update={"world": 3}), 1)
    roll.hear(_beat(0, checkpoint="runs/x/step-10"), 1)
    roll.hear(_beat(0), 2)
    roll.hear(_beat(1, checkpoint="runs/x/step-9"), 2)
    assert roll.checkpoint == "runs/x/step-10"
