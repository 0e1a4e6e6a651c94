"""Every way in which a run can end, and what is said about it."""

from __future__ import annotations

from xstilts.distributed.protocol import RankStatus
from xstilts.launch.failure_detector import FailureDetector, Verdict


def _detector(now: float = 0.0) -> FailureDetector:
    return FailureDetector(["a", "b"], now=now, silence=35, start_timeout=300, hang_timeout=1800)


def _status(
    rank: int, *, step: int | None = None, exit_code: int | None = None, reason: str = "", checkpoint: str | None = None
) -> RankStatus:
    phase = "train" if step is not None else "start"
    return RankStatus(
        run_id="r",
        rank=rank,
        world_size=2,
        host="ab"[rank],
        pid=1,
        step=step,
        phase=phase,
        exit_code=exit_code,
        reason=reason,
        checkpoint=checkpoint,
    )


def _verdict(detector: FailureDetector, now: float) -> Verdict:
    verdict = detector.verdict(now)
    assert verdict is not None
    assert "\n" not in verdict.message
    return verdict


def test_good_end_needs_every_ranks_exit_code_and_the_launcher() -> None:
    detector = _detector()
    assert detector.update(_status(0, step=1), 1) and detector.update(_status(1, step=1), 1)
    detector.update(_status(0, step=2, exit_code=0), 2)
    assert detector.verdict(2) is None
    detector.update(_status(1, step=2, exit_code=0), 3)
    assert detector.verdict(3) is None
    detector.launcher_ended(0, 4)
    assert _verdict(detector, 4) == Verdict(0, "", all_ended=True)


def test_crash_during_teardown_is_not_a_good_end() -> None:
    detector = _detector()
    for rank in range(2):
        detector.update(_status(rank, exit_code=0), 1)
    detector.launcher_ended(250, 2)
    assert _verdict(detector, 2).code == 1


def test_preempted() -> None:
    detector = _detector()
    for rank in range(2):
        detector.update(_status(rank, step=7, exit_code=75), 1)
    detector.launcher_ended(75, 2)
    assert _verdict(detector, 2) == Verdict(75, "", all_ended=True)


def test_preempted_outside_of_training_while_its_peer_waits_for_it() -> None:
    detector = _detector()
    detector.update(_status(1, step=7), 1)
    detector.update(_status(0, step=7, exit_code=75, reason="SIGTERM outside of training"), 2)
    detector.update(_status(1, step=7), 31)
    assert detector.verdict(31) is None
    verdict = _verdict(detector, 32)
    assert verdict.code == 75 and not verdict.all_ended
    detector.update(_status(1, step=7, exit_code=1, reason="RuntimeError: Connection closed by peer"), 3)
    assert _verdict(detector, 3).code == 75
    detector = _detector()
    detector.update(_status(0, exit_code=75), 2)
    detector.launcher_ended(75, 3)
    assert _verdict(detector, 8.1).code == 75


def test_failure_before_a_preemption_is_a_failure() -> None:
    detector = _detector()
    detector.update(_status(0, step=7), 1)
    detector.update(_status(1, step=7), 1)
    detector.connection_lost(1, 1.5)
    detector.update(_status(0, step=7, exit_code=75), 2)
    assert _verdict(detector, 10).code == 1


def test_killed_rank_is_named_although_its_peer_complains_too() -> None:
    detector = _detector()
    detector.update(_status(0, step=5), 10)
    detector.update(_status(1, step=5), 10)
    detector.update(_status(0, step=5, exit_code=1, reason="RuntimeError: Connection reset by peer"), 11.0)
    detector.connection_lost(1, 11.05)
    assert detector.verdict(12) is None
    verdict = _verdict(detector, 14.2)
    assert verdict.message.startswith("rank 1 (host b), last at step 5, train, died without a word")
    assert verdict.code == 1


def test_failing_rank_is_named_although_the_launcher_then_kills_its_neighbour() -> None:
    detector = _detector()
    detector.update(_status(1, step=5), 10)
    detector.update(_status(0, step=5, exit_code=74, reason="OSError: No space left on device"), 11)
    detector.connection_lost(1, 11.05)
    verdict = _verdict(detector, 16)
    assert verdict.code == 74
    assert "rank 0 (host a)" in verdict.message and "No space left" in verdict.message


def test_frozen_rank_is_named_although_its_peer_times_out_first() -> None:
    detector = _detector()
    detector.update(_status(0, step=5), 30)
    detector.update(_status(1, step=5), 10)
    detector.update(_status(0, step=5, exit_code=1, reason="RuntimeError: timed out"), 31)
    assert _verdict(detector, 34.5).message.startswith(
        "rank 1 (host b), last at step 5, train, has been silent for 24 s"
    )


def test_reconnecting_is_no_failure() -> None:
    detector = _detector()
    detector.update(_status(0), 1)
    detector.update(_status(1), 1)
    detector.update(_status(0), 8)
    detector.connection_lost(1, 2)
    assert detector.verdict(9.5) is None
    detector.update(_status(1), 9.6)
    detector.update(_status(0), 20)
    assert detector.verdict(20) is None


def test_host_that_calls_itself_otherwise_is_named_in_both_ways() -> None:
    detector = _detector()
    detector.update(_status(1, step=5).model_copy(update={"host": "node-07.cluster"}), 10)
    detector.connection_lost(1, 11)
    assert _verdict(detector, 20).message.startswith("rank 1 (host b, itself node-07.cluster), last at step 5")


def test_silence() -> None:
    detector = _detector()
    detector.update(_status(0, step=3), 10)
    detector.update(_status(1, step=3), 10)
    detector.update(_status(0, step=3), 45)
    assert detector.verdict(45) is None
    verdict = _verdict(detector, 45.1)
    assert verdict.code == 76 and verdict.hang
    assert (
        verdict.message
        == "rank 1 (host b), last at step 3, train, has been silent for 35 s (frozen, its host down or its link cut)"
    )


def test_launcher_that_ends_with_zero_while_ranks_run() -> None:
    detector = _detector()
    detector.update(_status(0, step=3), 10)
    detector.update(_status(1, step=3), 10)
    detector.launcher_ended(0, 11)
    assert detector.verdict(12) is None
    verdict = _verdict(detector, 17)
    assert verdict.code == 1
    assert verdict.message.startswith("the launcher ended (code 0) while rank 0 (host a)")


def test_launcher_that_notices_a_cut_link_first() -> None:
    detector = _detector()
    detector.update(_status(1, step=3), 10)
    detector.launcher_ended(255, 30)
    detector.update(_status(0, step=3), 35)
    verdict = _verdict(detector, 35.5)
    assert verdict.code == 76
    assert verdict.message.startswith("rank 1 (host b), last at step 3, train, has been silent for 26 s and ")


def test_ranks_that_never_start() -> None:
    detector = _detector()
    detector.update(_status(0), 299)
    assert detector.verdict(299) is None
    assert _verdict(detector, 301).message == "rank 1 (host b) did not start within 300 s"
    detector = _detector()
    detector.launcher_ended(2, 1)
    assert _verdict(detector, 7).code == 2
    detector = _detector()
    detector.launcher_ended(-9, 1)
    assert (
        _verdict(detector, 7).message
        == "the launcher ended (signal 9) before rank 0 (host a), rank 1 (host b) had started"
    )


def test_launcher_that_does_not_end() -> None:
    detector = _detector()
    for rank in range(2):
        detector.update(_status(rank, exit_code=0), 1)
    assert detector.verdict(30) is None
    assert _verdict(detector, 31.5).code == 0


def test_hang_is_no_progress_anywhere() -> None:
    detector = _detector()
    detector.update(_status(0, step=3).model_copy(update={"idle_seconds": 1900.0}), 10)
    detector.update(_status(1, step=3).model_copy(update={"idle_seconds": 5.0}), 10)
    assert detector.verdict(10) is None
    detector.update(_status(1, step=3).model_copy(update={"idle_seconds": 1801.0}), 11)
    verdict = _verdict(detector, 11)
    assert verdict.code == 76 and verdict.hang
    assert "rank 0 (host a), last at step 3, train, for 1900 s" in verdict.message


def test_foreign_world_is_refused_and_checkpoint_remembered() -> None:
    detector = _detector()
    assert not detector.update(_status(0).model_copy(update={"world_size": 3}), 1)
    detector.update(_status(0, checkpoint="runs/x/step-10"), 1)
    detector.update(_status(0), 2)
    detector.update(_status(1, checkpoint="runs/x/step-9"), 2)
    assert detector.checkpoint == "runs/x/step-10"
