"""`status`: how far a run is, from any machine that sees its directory."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from xstilts.commands.arguments import Subparsers, add_command, positive
from xstilts.core.exit_codes import EXIT_OK


def add(commands: Subparsers[argparse.ArgumentParser]) -> None:
    sub = add_command(commands, "status", _status, "how far a run is: stages done, what runs where, speed, time left")
    sub.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="where the run goes: runs/NAME")
    sub.add_argument("--json", action="store_true", help="machine-readable, one line")
    sub.add_argument(
        "--watch",
        type=positive,
        nargs="?",
        const=5,
        metavar="SECONDS",
        help="again every so often, until nothing runs there; default 5",
    )


def _status(options: argparse.Namespace) -> int:
    from xstilts.study.status import read_status
    from xstilts.study.status_text import describe_status

    while True:
        status = read_status(options.run_dir)
        clear = "\x1b[H\x1b[2J" if options.watch and not options.json and sys.stdout.isatty() else ""
        print(clear + (json.dumps(asdict(status)) if options.json else describe_status(status)), flush=True)
        if not options.watch or not status.running:
            return EXIT_OK
        time.sleep(options.watch)
