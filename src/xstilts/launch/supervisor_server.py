"""The TCP server of the supervisor: receives the heartbeats of the ranks and replies with a command."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from types import TracebackType
from typing import Self

from xstilts.distributed.protocol import MAX_LINE, Command, decode_status, encode_command
from xstilts.launch.failure_detector import FailureDetector


class SupervisorServer:
    """Listens on a port of its own while it is entered as an asynchronous context."""

    def __init__(self) -> None:
        self.command: Command = "go"
        """The reply to every rank of the present run."""
        self.checkpoint: str | None = None
        """The last good checkpoint that rank 0 of any attempt reported."""
        self._run_id: str | None = None
        self._earlier_runs: set[str] = set()
        self._detector: FailureDetector | None = None
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

    def start_run(self, run_id: str, detector: FailureDetector) -> None:
        """From now on the ranks of `run_id` are sent `command`, and those of earlier runs "stop"."""
        if self._run_id is not None:
            self._earlier_runs.add(self._run_id)
        self._run_id, self._detector, self.command = run_id, detector, "go"

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from a rank of the present run or of an earlier one. Any other is closed: it may be a rank
        that looks for another supervisor behind the same private address."""
        rank: int | None = None
        detector = self._detector
        with contextlib.suppress(ConnectionError, ValueError, asyncio.CancelledError):
            while line := await reader.readline():
                status = decode_status(line)
                if status is None or status.run_id not in {self._run_id, *self._earlier_runs}:
                    break
                assert self._detector is not None
                ours = status.run_id == self._run_id and self._detector.update(status, time.monotonic())
                if ours:
                    rank, detector = status.rank, self._detector
                    self.checkpoint = detector.checkpoint or self.checkpoint
                writer.write(encode_command(self.command if ours else "stop"))
                await writer.drain()
        if rank is not None and detector is not None:
            detector.connection_lost(rank, time.monotonic())
        writer.close()


def _listening_socket() -> socket.socket:
    """For IPv4 and IPv6, as hosts may have been reached by either."""
    if socket.has_dualstack_ipv6():
        with contextlib.suppress(OSError):
            return socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", 0))
