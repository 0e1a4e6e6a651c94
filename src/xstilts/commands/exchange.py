"""`export`, `import` and `submit`: what goes out of a run and comes into one."""

from __future__ import annotations

import argparse
from pathlib import Path

from xstilts.commands.arguments import Subparsers, add_command
from xstilts.core.exit_codes import EXIT_OK


def add(commands: Subparsers[argparse.ArgumentParser]) -> None:
    sub = add_command(commands, "export", _export, "write a trained stage as a folder that transformers loads")
    sub.add_argument("stage", type=Path, metavar="STAGE", help="RUN_DIR/stages/ID")
    sub.add_argument("--to", type=Path, required=True, metavar="DIR", help="a new folder")
    sub.add_argument("--head", metavar="TASK", help="whose head is taken, where the stage has several")
    sub.add_argument("--tokenizer", metavar="DIR", help="folder or hub id; default: the one that the run names")
    sub = add_command(commands, "import", _import, "make a checkpoint of transformers a stage that evaluate scores")
    sub.add_argument("checkpoint", metavar="CHECKPOINT", help="folder or hub id of an XLM-R checkpoint with a head")
    sub.add_argument("--task", required=True, help="whose head it has: mnli, panx, squad_v1")
    sub.add_argument("--to", type=Path, required=True, metavar="DIR", help="a new folder, for evaluate --checkpoint")
    sub.add_argument("--labels", default="", metavar="A,B,...", help="of the task, in the order of the head's classes")
    sub.add_argument(
        "--precision", choices=("fp32", "bf16", "fp16"), default="fp32", help="what it is scored in; default fp32"
    )
    sub = add_command(commands, "submit", _submit, "write an arm's predictions as the archive that XTREME takes")
    sub.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="where the run went: runs/NAME")
    sub.add_argument("--arm", required=True, help="arm of the recipe")
    sub.add_argument("--seed", type=int, required=True, help="seed of the recipe")
    sub.add_argument("--suite", default="xtreme", help="xtreme, xtreme-r or africa; default xtreme")
    sub.add_argument("--to", type=Path, metavar="FILE.zip", help="default RUN_DIR/submissions/SUITE-ARM-seedS.zip")


def _export(options: argparse.Namespace) -> int:
    from transformers.utils import logging

    from xstilts.exchange.to_transformers import export_stage

    logging.disable_progress_bar()
    task = export_stage(options.stage, options.to, head=options.head, tokenizer=options.tokenizer)
    assert task.kind.transformers_head is not None
    print(f"{options.to}: {task.kind.transformers_head.auto_class} with the head of {task.name}")
    return EXIT_OK


def _import(options: argparse.Namespace) -> int:
    from transformers.utils import logging

    from xstilts.exchange.from_transformers import import_checkpoint
    from xstilts.tasks import find_task

    logging.disable_progress_bar()
    logging.set_verbosity_error()  # what a checkpoint lacks is said in one line
    task, labels = find_task(options.task), [label for label in options.labels.split(",") if label]
    import_checkpoint(options.checkpoint, task, options.to, labels=labels, precision=options.precision)
    print(f"{options.to}: score it with evaluate RECIPE --checkpoint {options.to}, on targets that {task.name} trains")
    return EXIT_OK


def _submit(options: argparse.Namespace) -> int:
    from xstilts.exchange.submission import submit
    from xstilts.tasks.suites import find_suite

    path, num_files = submit(options.run_dir, options.arm, options.seed, find_suite(options.suite), options.to)
    print(f"{path}: {num_files} files, all of {options.suite}")
    return EXIT_OK
