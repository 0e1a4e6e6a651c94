"""What is shown on a screen, in a file, and through Open MPI's pseudo-terminals."""

from __future__ import annotations

import os
import pty
import struct
import subprocess
import sys
import termios
from fcntl import ioctl

import pytest

CODE = """
from xstilts.core.display import Display
with Display() as display:
    for step in range(200):
        display.update("stage", "none.udpos", step, 200)
    display.say("dev at step 200: 71.2 " + "x" * 90)
with Display(shown=False) as display:
    display.update("stage", "hidden", 1, 2)
    display.say("hidden")
"""


def shown(columns: int | None, **variables: str) -> str:
    """What the program writes to a pseudo-terminal with so many columns, or to a pipe."""
    environment = {**os.environ, "TERM": "xterm", **variables}
    command = [sys.executable, "-c", CODE]
    if columns is None:
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24 if columns else 0, columns, 0, 0))
    with subprocess.Popen(command, env=environment, stdout=theirs) as process:
        os.close(theirs)
        written = b""
        while True:
            try:
                more = os.read(ours, 65536)
            except OSError:  # Linux's end of a pseudo-terminal
                break
            if not more:
                break
            written += more
    os.close(ours)
    assert process.returncode == 0
    return written.decode().replace("\r\n", "\n")


LINE = "dev at step 200: 71.2 " + "x" * 90 + "\n"


@pytest.mark.parametrize(
    ("columns", "variables"),
    [(None, {}), (0, {}), (80, {"TERM": "dumb"}), (80, {"OMPI_COMM_WORLD_SIZE": "2"})],
    ids=["a file", "a terminal without a size", "a dumb terminal", "under Open MPI"],
)
def test_lines_alone_where_nobody_looks(columns: int | None, variables: dict[str, str]) -> None:
    assert shown(columns, **variables) == LINE


def test_bars_on_a_screen() -> None:
    written = shown(100)
    assert "none.udpos" in written and "\x1b[" in written
    assert LINE.strip() in written.replace("\n", "")
    assert "hidden" not in written
