"""What a host's first answer means."""

from __future__ import annotations

from pathlib import Path

import pytest

from xstilts.core.errors import UserError
from xstilts.launch.hostfile import Host
from xstilts.launch.reachability import Reachability, check_reachability, parse_reachability, require_reachable
from xstilts.launch.ssh import Reply


def _reply(output: str, *, host: str = "b", code: int | None = 0, error: str = "") -> Reply:
    return Reply(host, code, output, error, started=1000.0, seconds=0.5)


def test_addresses_and_clock() -> None:
    contact = parse_reachability(_reply("1003.25\n10.0.0.9 40000 10.0.0.2 22\n172.17.0.1 10.0.0.2 \n"))
    assert contact == Reachability(our_address="10.0.0.9", address="10.0.0.2", clock_ahead=3.0, clock_error=0.25)


def test_own_name_over_loopback_gives_an_address_that_others_reach() -> None:
    contact = parse_reachability(_reply("1000.25\n127.0.0.1 40000 127.0.1.1 22\n10.0.0.9 \n"))
    assert (contact.our_address, contact.address) == ("127.0.0.1", "10.0.0.9")


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (_reply("", code=255, error="Warning: x\nPermission denied.\n"), "ssh failed: Permission denied."),
        (_reply("1.0\n", code=1, error="no /venv/bin/python there\n"), "exit code 1: no /venv/bin/python there"),
        (_reply("", code=None), "no answer within 0 s"),
        (_reply("Welcome to b!\n1000.25\n"), "its shell prints 'Welcome to b!' before anything is asked"),
    ],
)  # fmt: skip
def test_problems(reply: Reply, problem: str) -> None:
    assert parse_reachability(reply) == Reachability(problem=problem)


def test_loopback_needs_no_ssh() -> None:
    reachability = check_reachability([Host("localhost", 1, 1)])
    assert reachability["localhost"].problem is None
    assert reachability["localhost"].address == "127.0.0.1"
    assert abs(reachability["localhost"].clock_ahead) < 1 + reachability["localhost"].clock_error


def test_unreachable_host_is_an_error_with_its_line() -> None:
    hosts = [Host("a", 1, 1), Host("b", 1, 3)]
    reachability = {"a": Reachability(), "b": Reachability(problem="no answer within 20 s")}
    with pytest.raises(UserError, match=r"^hosts:3: host 'b' cannot be used: no answer within 20 s; "):
        require_reachable(Path("hosts"), hosts, reachability)
