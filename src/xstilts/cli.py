"""The command line: from arguments to one of `commands`, and from its errors to one line and an exit code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import xstilts
from xstilts.commands import data, exchange, hosts, reference, results, status, study
from xstilts.commands.arguments import Command, Parser, unknown_argument
from xstilts.commands.errors import print_error
from xstilts.core.entrypoint import program_name
from xstilts.core.errors import StorageError, UserError
from xstilts.core.exit_codes import EXIT_DISK_FULL, EXIT_INTERRUPTED, EXIT_NOT_READ, exit_code_of


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit code; a user's mistake is one line on the standard error.

    `arguments` are those of this process unless given.
    """
    options = None
    try:
        options = parse(sys.argv[1:] if arguments is None else arguments)
        command: Command = options.command
        code = command(options)
        sys.stdout.flush()
        return code
    except (UserError, StorageError) as error:
        print_error(error)
        return exit_code_of(error)
    except BrokenPipeError:
        if options is not None and options.runs_on_ranks:  # it may be another pipe, or a socket
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what Python writes at its end
        return EXIT_NOT_READ
    except OSError as error:
        if exit_code_of(error) != EXIT_DISK_FULL:
            raise
        place = f"{error.filename}: " if error.filename else ""
        print_error(UserError(f"{place}{error.strerror}; free space, then launch again: what was saved is intact"))
        return EXIT_DISK_FULL
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of a command line; `command` is the function to call with them.

    Raises:
        UserError: it is not a command line of this program.
    """
    options, rest = _parser().parse_known_args(arguments)
    for word in rest:
        # argparse takes no second run of positionals behind an option: `run demo --run-dir X training.steps=3`.
        if word.startswith("-") or not hasattr(options, "overrides"):
            raise unknown_argument(word)
        options.overrides.append(word)
    return options


def _parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = Parser(
        prog=program_name(), description="English intermediate tasks for XLM-R, scored zero-shot elsewhere."
    )
    version = f"%(prog)s {xstilts.__version__}"
    parser.add_argument("--version", action="version", version=version, help="print the version and end")
    parser.add_argument("--local_rank", type=int, help=argparse.SUPPRESS)  # the deepspeed launcher passes it
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    study.add(commands)
    data.add(commands)
    status.add(commands)
    results.add(commands)
    exchange.add(commands)
    reference.add(commands)
    hosts.add(commands, parse)
    return parser
