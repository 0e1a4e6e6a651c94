"""`train.py check`, `launch` and `slurm`: their options, handed to the functions that do the work."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from xstilts.core.errors import UserError
from xstilts.core.exit_codes import EXIT_OK
from xstilts.launch.slurm import SlurmJob, check_sbatch, sbatch_script
from xstilts.launch.supervisor import LaunchOptions, run_launch
from xstilts.preflight.check import run_check

CheckArguments = Callable[[Sequence[str]], None]
"""Raises `UserError` for arguments with which the ranks could not run."""


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], check_arguments: CheckArguments
) -> None:
    """Adds the three commands; `command` of the parsed options is the function to call with them.

    What follows `--` is given to `check_arguments`, so that a mistake in it is found once, here, and not by every rank.
    """
    _add_check(commands)
    _add_launch(commands)
    _add_slurm(commands)
    commands.choices["launch"].set_defaults(check_arguments=check_arguments)
    commands.choices["slurm"].set_defaults(check_arguments=check_arguments)


def _add_check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    sub = commands.add_parser("check", help="look at every host of a hostfile before GPU time is spent")
    sub.set_defaults(command=_check)
    sub.add_argument("--hostfile", type=Path, required=True)
    sub.add_argument("--run-dir", type=Path, help="folder for runs, which all hosts must share")
    sub.add_argument("--cache-dir", type=Path, help="folder of the dataset cache, the same on every host")


def _check(options: argparse.Namespace) -> int:
    return run_check(options.hostfile, options.run_dir, options.cache_dir)


def _add_launch(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    sub = commands.add_parser(
        "launch", help="run on all hosts under a supervisor that ends, and can restart, a broken run"
    )
    sub.set_defaults(command=_launch)
    sub.add_argument("--hostfile", type=Path, required=True)
    sub.add_argument("--launcher", choices=("pdsh", "openmpi"), default="pdsh")
    sub.add_argument("--launcher-args", default="", metavar="ARGS", help="for pdsh or mpirun, as one argument")
    sub.add_argument("--master-addr", help="address of the first host; default: the one ssh reached it by")
    sub.add_argument("--master-port", type=int, help="default: a free one")
    sub.add_argument("--max-restarts", type=int, default=0, metavar="N", help="relaunches from the last checkpoint")
    sub.add_argument(
        "--silence", type=float, default=30.0, metavar="SECONDS", help="without a heartbeat, then a rank is dead"
    )
    sub.add_argument("--start-timeout", type=float, default=600.0, metavar="SECONDS", help="for all ranks to start")
    sub.add_argument(
        "--hang-timeout", type=float, default=1800.0, metavar="SECONDS", help="without progress on any rank"
    )
    sub.add_argument("--save-timeout", type=float, default=600.0, metavar="SECONDS", help="to save when asked to stop")
    sub.add_argument("arguments", nargs="+", metavar="-- COMMAND", help="what train.py does on every rank")


def _launch(options: argparse.Namespace) -> int:
    if options.silence < 10:
        raise UserError(f"--silence {options.silence:g} is too short: a rank beats every 2 s; give 10 or more")
    if options.max_restarts < 0:
        raise UserError(f"--max-restarts {options.max_restarts} is negative; give 0 or more")
    options.check_arguments(options.arguments)
    return run_launch(
        LaunchOptions(
            hostfile=options.hostfile,
            script=Path(sys.argv[0]).resolve(),
            arguments=tuple(options.arguments),
            launcher=options.launcher,
            launcher_args=options.launcher_args,
            master_addr=options.master_addr,
            master_port=options.master_port,
            max_restarts=options.max_restarts,
            silence=options.silence,
            start_timeout=options.start_timeout,
            hang_timeout=options.hang_timeout,
            save_timeout=options.save_timeout,
        )
    )


def _add_slurm(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    sub = commands.add_parser("slurm", help="print a batch script that checks its nodes and launches on them")
    sub.set_defaults(command=_slurm)
    sub.add_argument("--nodes", type=int, required=True)
    sub.add_argument("--gpus", type=int, required=True, help="per node")
    sub.add_argument("--time", required=True, help="limit, e.g. 24:00:00")
    sub.add_argument("--run-dir", type=Path, default=Path("runs"), help="shared folder for output and hostfile")
    sub.add_argument("--name", default="xstilts")
    sub.add_argument("--partition")
    sub.add_argument("--account")
    sub.add_argument("--cpus-per-gpu", type=int, default=8)
    sub.add_argument("--save-seconds", type=int, default=300, help="before the limit, the ranks save")
    sub.add_argument("--max-restarts", type=int, default=2)
    sub.add_argument("arguments", nargs="+", metavar="-- COMMAND", help="what train.py does on every rank")


def _slurm(options: argparse.Namespace) -> int:
    options.check_arguments(options.arguments)
    script = sbatch_script(
        SlurmJob(
            arguments=tuple(options.arguments),
            nodes=options.nodes,
            gpus=options.gpus,
            time=options.time,
            project=Path(sys.argv[0]).resolve().parent,
            run_dir=options.run_dir.resolve(),
            name=options.name,
            partition=options.partition,
            account=options.account,
            cpus_per_gpu=options.cpus_per_gpu,
            save_seconds=options.save_seconds,
            max_restarts=options.max_restarts,
        )
    )
    if (problem := check_sbatch(script)) is not None:
        raise UserError(f"the batch script would be refused: {problem}; change the options it complains about")
    print(script, end="")
    return EXIT_OK
