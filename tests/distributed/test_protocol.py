"""Anything may arrive on the supervisor's port; nothing but a message of a rank is taken for one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xstilts.distributed.protocol import RankStatus, decode_command, decode_status, encode_command

STATUS = RankStatus(run_id="r", rank=1, world_size=2, host="b", pid=7, step=3, phase="train", checkpoint="runs/x")


def test_round_trip() -> None:
    assert decode_status(STATUS.encode()) == STATUS
    assert decode_command(encode_command("save")) == "save"


@pytest.mark.parametrize("change", [{"rank": -1}, {"rank": "1"}, {"world_size": 0}, {"more": 1}, {"run_id": "x" * 65}])
def test_wrong_fields_are_refused(change: dict[str, object]) -> None:
    assert decode_status(json.dumps(STATUS.model_dump() | change).encode()) is None


@given(line=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_noise_is_refused(line: bytes) -> None:
    assert decode_status(line) is None
    with pytest.raises(ConnectionError):
        decode_command(line)


@pytest.mark.parametrize("line", [b'{"command": "reboot"}', b'{"command": ["go"]}', b"[]", b"null", b"3"])
def test_other_commands_are_refused(line: bytes) -> None:
    with pytest.raises(ConnectionError):
        decode_command(line)
