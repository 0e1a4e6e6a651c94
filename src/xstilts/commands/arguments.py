"""What the commands' options have in common."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from xstilts.core.entrypoint import program_name
from xstilts.core.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from xstilts.config.recipe import Recipe

Command = Callable[[argparse.Namespace], int]
"""Runs with the parsed options and returns the exit code."""
Subparsers = argparse._SubParsersAction  # its only public name is the type of `add_subparsers`


class Parser(argparse.ArgumentParser):
    """Reports a mistake as everything else does, in one line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see {self.prog} --help")


def add_command(
    commands: Subparsers[argparse.ArgumentParser], name: str, command: Command, summary: str
) -> argparse.ArgumentParser:
    """The parser of a new command; `command` of the parsed options is the function to call with them."""
    sub = commands.add_parser(name, help=summary, description=summary)
    sub.set_defaults(command=command, runs_on_ranks=False)
    return sub


def add_recipe_command(
    commands: Subparsers[argparse.ArgumentParser], name: str, command: Command, summary: str
) -> argparse.ArgumentParser:
    """The same for a command that works on a recipe."""
    sub = add_command(commands, name, command, summary)
    sub.add_argument("recipe", help="name of a shipped recipe or path of a YAML file")
    sub.add_argument("overrides", nargs="*", metavar="key.path=value", help="values over those of the recipe")
    sub.add_argument("--run-dir", type=Path, help="where everything goes; default runs/<name of the recipe>")
    return sub


def recipe_of(options: argparse.Namespace) -> Recipe:
    """The recipe that a recipe command was given."""
    from xstilts.config.load import load_recipe

    return load_recipe(options.recipe, options.overrides)


def run_dir_of(options: argparse.Namespace, recipe: Recipe) -> Path:
    """Where the run of a recipe command is."""
    return options.run_dir or Path("runs") / recipe.name


def console() -> Console:
    """A terminal, or 80 columns where the output goes into a file."""
    from xstilts.core.display import make_console

    return make_console()


def positive(text: str) -> int:
    """The type of an option that is a number from 1."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a positive number")
    return int(text)


def unknown_argument(word: str) -> UserError:
    return UserError(f"unknown argument '{word}'; see {program_name()} COMMAND --help")
