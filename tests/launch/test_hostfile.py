"""Hostfiles: what DeepSpeed accepts is read alike; what it lets through in silence is refused with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest
from deepspeed.launcher.runner import _parse_hostfile as deepspeed_parse
from hypothesis import given, settings
from hypothesis import strategies as st

from xstilts.core.errors import UserError
from xstilts.launch.hostfile import Host, host_of_rank, parse_hostfile


def _write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "hosts"
    path.write_text(text, encoding="utf-8")
    return path


def test_reads_comments_blank_lines_and_order(tmp_path: Path) -> None:
    path = _write(tmp_path, "# two nodes\n\n  worker-1   slots=8\nworker-0\tslots=4  # slower\r\n\n10.0.0.7 slots=1")
    hosts = parse_hostfile(path)
    assert hosts == (Host("worker-1", 8, 3), Host("worker-0", 4, 4), Host("10.0.0.7", 1, 6))
    assert dict(deepspeed_parse(path.read_text().splitlines())) == {host.name: host.slots for host in hosts}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a slots=2\n\na slots=4\n", 3, "already on line 1"),
        ("a slots=0\n", 1, "outside 1..1024"),
        ("a slots=-1\n", 1, "is not 'slots=N'"),
        ("a slots=two\n", 1, "is not 'slots=N'"),
        ("a slots = 2\n", 1, "is not 'slots=N'"),
        ("a slots=2x\n", 1, "is not 'slots=N'"),
        ("a slots=99999999999999999999999\n", 1, "outside 1..1024"),
        ("a slots=\u0662\n", 1, "is not 'slots=N'"),
        ("ok slots=1\na\n", 2, "has no slots"),
        ("a slots=2 max_slots=4\n", 1, "after the slots"),
        ("a slots=1\n\nlocalhost slots=1\n", 3, "another machine to every other host"),
        ("LocalHost.localdomain slots=1\nb slots=1\n", 1, "write the name or address by which the others reach it"),
        ("127.0.0.1 slots=1\nb slots=1\n", 1, "another machine to every other host"),
        ("b slots=1\n127.1 slots=1\n", 2, "another machine to every other host"),
        ("b slots=1\n0:0:0:0:0:0:0:1 slots=1\n", 2, "another machine to every other host"),
        ("b slots=1\n::1 slots=1\n", 2, "not a host name"),
        ("-oProxyCommand=x slots=2\n", 1, "not a host name"),
        ("a;reboot slots=2\n", 1, "not a host name"),
    ],
)
def test_bad_line_is_named(tmp_path: Path, text: str, line: int, words: str) -> None:
    path = _write(tmp_path, text)
    with pytest.raises(UserError) as caught:
        parse_hostfile(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:{line}: ")
    assert words in message
    assert "\n" not in message


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "\ufeff\n"])
def test_empty_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match="names no host"):
        parse_hostfile(_write(tmp_path, text))


def test_missing_or_unreadable_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such hostfile"):
        parse_hostfile(tmp_path / "absent")
    with pytest.raises(UserError, match="cannot read the hostfile"):
        parse_hostfile(tmp_path)
    (tmp_path / "binary").write_bytes(b"a slots=1\nb\xff slots=1\n")
    with pytest.raises(UserError, match=r"binary:2: not UTF-8"):
        parse_hostfile(tmp_path / "binary")


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_this_machine_alone_may_be_named_by_loopback(tmp_path: Path, name: str) -> None:
    assert parse_hostfile(_write(tmp_path, f"{name} slots=8\n")) == (Host(name, 8, 1),)


def test_ranks_follow_the_file() -> None:
    hosts = (Host("b", 2, 1), Host("a", 1, 2))
    assert [host.name for host in host_of_rank(hosts)] == ["b", "b", "a"]


_VALID = b"# cluster\nworker-0 slots=8\nworker-1 slots=8\n\nworker-2 slots=4 # spare\n"


@st.composite
def _corrupted(draw: st.DrawFn) -> bytes:
    content = bytearray(_VALID)
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, len(content)))
        cut = draw(st.integers(0, 4))
        content[place : place + cut] = draw(
            st.binary(max_size=6) | st.sampled_from([b"\n", b" ", b"slots=", b"#", b"\x00"])
        )
    return bytes(content)


@settings(max_examples=2000, deadline=None)
@given(content=_corrupted() | st.binary(max_size=80) | st.text(max_size=80).map(lambda text: text.encode("utf-8")))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed_hostfile"
    path.write_bytes(content)
    try:
        hosts = parse_hostfile(path)
    except UserError as error:
        message = str(error)
    else:
        assert {h.name: h.slots for h in hosts} == dict(deepspeed_parse(content.decode("utf-8-sig").split("\n")))
        assert all(1 <= host.slots <= 1024 for host in hosts)
        return
    assert "\n" not in message and str(path) in message
