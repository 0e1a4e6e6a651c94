"""A rank's connection to its supervisor: made when needed, made again when it breaks."""

from __future__ import annotations

import socket

from xstilts.distributed.protocol import MAX_LINE, Command, RankStatus, decode_command

IO_TIMEOUT = 5.0
"""Seconds for one connection, message or reply."""


class SupervisorClient:
    """Sends to whichever of the supervisor's addresses answers; for one thread."""

    def __init__(self, addresses: str) -> None:
        """`addresses` as in `protocol.ENV_SUPERVISOR`, "" where there is no supervisor."""
        pairs = (part.rpartition(":") for part in addresses.split(",") if part)
        self._addresses = [(host, int(port)) for host, _, port in pairs]
        self._socket: socket.socket | None = None

    @property
    def supervised(self) -> bool:
        """Whether there is a supervisor."""
        return bool(self._addresses)

    def send(self, status: RankStatus) -> Command:
        """The supervisor's reply to `status`, sent a second time if need be: an old connection may be broken unnoticed.

        Raises:
            OSError: none of its addresses answers, or something else answers there.
        """
        try:
            return self._send(status)
        except OSError:
            self.close()
        try:
            return self._send(status)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Closes the connection, if there is one; the next `send` makes another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, status: RankStatus) -> Command:
        if self._socket is None:
            self._socket = self._connect()
        self._socket.sendall(status.encode())
        reply = b""
        while not reply.endswith(b"\n"):
            if not (part := self._socket.recv(MAX_LINE)) or len(reply) > MAX_LINE:
                raise ConnectionError("the supervisor closed the connection")
            reply += part
        return decode_command(reply)

    def _connect(self) -> socket.socket:
        """To the first address that accepts; the next attempt begins with the one after it, in case something else than
        the supervisor listens there."""
        problem: OSError = ConnectionError("no address of the supervisor is known")
        for tried, address in enumerate(self._addresses, start=1):
            try:
                connection = socket.create_connection(address, timeout=IO_TIMEOUT)
            except OSError as error:
                problem = error
            else:
                connection.settimeout(IO_TIMEOUT)
                self._addresses = self._addresses[tried:] + self._addresses[:tried]
                return connection
        raise problem
