"""What a rank and its supervisor send each other: one JSON object per line over TCP, the rank's status and a command.

The run id keeps ranks of other runs out by mistake, not by force: as with DeepSpeed's own rendezvous port, the cluster
network is trusted. A message can at most stop a run; nothing received is executed, opened or unpickled.
"""

from __future__ import annotations

import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

ENV_SUPERVISOR = "XSTILTS_SUPERVISOR"
"""`address:port[,address:port]` on which the supervisor listens, the same for all hosts; ranks try them in turn."""
ENV_RUN_ID = "XSTILTS_RUN_ID"
"""The unique id of one launch attempt; `kill_leftovers` finds the processes of the run by it."""
ENV_SILENCE = "XSTILTS_SILENCE_SECONDS"
"""Seconds without a message after which either side gives the other up."""

ONE_REQUEST_SECONDS = 5.0
"""Signals within this time are one request to stop: batch systems and launchers send several, to every process."""

MAX_LINE = 8192
"""Bytes of one message; longer ones are refused."""

Command = Literal["go", "save", "stop", "dump"]
"""The supervisor's reply: carry on; save at the next step and end (preemption); end now; the same, dumping stacks."""


class RankStatus(BaseModel):
    """One heartbeat of a rank."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    run_id: str = Field(max_length=64)
    rank: int = Field(ge=0, lt=1 << 20)
    world_size: int = Field(ge=1, le=1 << 20)
    host: str = Field(max_length=255)
    pid: int = Field(ge=1)
    step: int | None = None
    """Last step that ended, if training has begun."""
    phase: str = Field(default="start", max_length=200)
    idle_seconds: float = 0.0
    """Time since its main thread last made progress."""
    checkpoint: str | None = Field(default=None, max_length=4096)
    """Newest checkpoint that this rank knows to be complete."""
    exit_code: int | None = None
    """Set in the last message, of a rank that is about to end."""
    reason: str = Field(default="", max_length=2000)
    """Why it ends, when the code is not 0."""

    def encode(self) -> bytes:
        """The message as a line."""
        return self.model_dump_json().encode() + b"\n"


def decode_status(line: bytes) -> RankStatus | None:
    """The message in `line`; `None` when it is none (a port scanner, another program)."""
    try:
        return RankStatus.model_validate_json(line)
    except ValidationError:
        return None


def encode_command(command: Command) -> bytes:
    """The supervisor's reply as a line."""
    return json.dumps({"command": command}).encode() + b"\n"


def decode_command(line: bytes) -> Command:
    """The command in a reply.

    Raises:
        ConnectionError: something else than a supervisor answers there.
    """
    try:
        command: object = json.loads(line)["command"]
    except (ValueError, KeyError, TypeError):
        command = None
    if command == "go" or command == "save" or command == "stop" or command == "dump":
        return command
    raise ConnectionError(f"no supervisor answers: {line[:80]!r}")
