"""Jobs run at the same time, however many, and none outlasts the promised time."""

from __future__ import annotations

import time

from xstilts.launch.ssh import Job, run_jobs


def test_timeout_holds_for_all_jobs_together() -> None:
    started = time.monotonic()
    replies = run_jobs([Job("localhost", ("sleep", "30"))] * 80, 4.0)
    assert time.monotonic() - started < 7.5
    assert [reply.code for reply in replies] == [None] * 80


def test_no_jobs_no_replies() -> None:
    assert run_jobs([], 1.0) == []
