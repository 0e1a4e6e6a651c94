"""`explain` and `tasks`: what a recipe may say, and what it may name."""

from __future__ import annotations

import argparse
from pathlib import Path

from xstilts.commands.arguments import Subparsers, add_command
from xstilts.commands.text import fit
from xstilts.core.exit_codes import EXIT_OK


def add(commands: Subparsers[argparse.ArgumentParser]) -> None:
    sub = add_command(commands, "explain", _explain, "say what the keys of a recipe mean")
    sub.add_argument(
        "key", nargs="?", metavar="KEY", help="a key, its end or a section: training.lr, lr, training; default: all"
    )
    sub = add_command(commands, "tasks", _tasks, "list the tasks, or say what one of them is and which files it reads")
    sub.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help="a task, a group (intermediate, xtreme, xtreme-r, africa) or a task file; default: all",
    )


def _explain(options: argparse.Namespace) -> int:
    from xstilts.config.reference import find_keys, keys

    if options.key is None:
        print(fit("\n".join(f"{key.path}\n    {key.summary()}" for key in keys())))
    else:
        print(fit("\n\n".join(key.text() for key in find_keys(options.key))))
    return EXIT_OK


def _tasks(options: argparse.Namespace) -> int:
    from xstilts.tasks import all_tasks, find_task
    from xstilts.tasks.describe import task_list, task_text

    name = options.name
    if name is not None and Path(name).suffix in (".yaml", ".yml"):
        from xstilts.config.task_file import load_task

        print(fit(task_text(load_task(Path(name).absolute()))))
        return EXIT_OK
    listed = all_tasks() if name is None else all_tasks(group=name)
    print(fit(task_list(listed) if listed else task_text(find_task(name))))
    return EXIT_OK
