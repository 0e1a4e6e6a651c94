"""Where the ranks call: hears their beats for the roll call, and answers with what they are to do."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from types import TracebackType
from typing import Self

from xstilts.distributed.protocol import MAX_LINE, Command, decode_beat, encode_command
from xstilts.launch.failure_detector import RollCall


class Switchboard:
    """Listens on a port of its own while it is entered as an asynchronous context."""

    def __init__(self) -> None:
        self.command: Command = "go"
        """What every rank of the present run is told."""
        self.checkpoint: str | None = None
        """The last good checkpoint that a rank of any run told of."""
        self._run_id: str | None = None
        self._earlier: set[str] = set()
        self._roll: RollCall | None = None
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._listen, sock=_listening_socket(), limit=MAX_LINE)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def begin(self, run_id: str, roll: RollCall) -> None:
        """From now on the ranks of `run_id` are told `command`, and those of earlier runs to stop."""
        if self._run_id is not None:
            self._earlier.add(self._run_id)
        self._run_id, self._roll, self.command = run_id, roll, "go"

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: a rank of the present run, of an earlier one, or a stranger, which is cut off: it may be a
        rank that looks for another supervisor behind the same private address."""
        rank: int | None = None
        roll = self._roll
        with contextlib.suppress(ConnectionError, ValueError, asyncio.CancelledError):
            while line := await reader.readline():
                beat = decode_beat(line)
                if beat is None or beat.run not in {self._run_id, *self._earlier}:
                    break
                assert self._roll is not None
                ours = beat.run == self._run_id and self._roll.hear(beat, time.monotonic())
                if ours:
                    rank, roll = beat.rank, self._roll
                    self.checkpoint = roll.checkpoint or self.checkpoint
                writer.write(encode_command(self.command if ours else "stop"))
                await writer.drain()
        if rank is not None and roll is not None:
            roll.lost(rank, time.monotonic())
        writer.close()


def _listening_socket() -> socket.socket:
    """For IPv4 and IPv6, as hosts may have been reached by either."""
    if socket.has_dualstack_ipv6():
        with contextlib.suppress(OSError):
            return socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", 0))
