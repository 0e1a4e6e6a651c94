"""`check`, `launch` and `slurm`: what is done with the hosts of a run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from xstilts.commands.arguments import Subparsers, add_command, recipe_of, run_dir_of
from xstilts.commands.finished import say_if_finished
from xstilts.core.entrypoint import entry_script, program_name
from xstilts.core.errors import UserError
from xstilts.core.exit_codes import EXIT_OK

if TYPE_CHECKING:
    from xstilts.config.recipe import Recipe

_HOSTFILE = "a line for each host: NAME slots=GPUS"
Parse = Callable[[Sequence[str]], argparse.Namespace]


def add(commands: Subparsers[argparse.ArgumentParser], parse: Parse) -> None:
    """Adds the three commands; `parse` is for the command line of the ranks, which follows `--`."""
    _add_check(commands)
    _add_launch(commands)
    _add_slurm(commands)
    for name in ("launch", "slurm"):
        commands.choices[name].set_defaults(parse=parse)


def _recipe_of_ranks(options: argparse.Namespace) -> Recipe:
    """The recipe of what follows `--`, which must be a command for many ranks and without mistakes: found once, here,
    and not by every rank."""
    ranks = options.parse(options.arguments)
    if not ranks.runs_on_ranks:
        raise UserError(f"'{options.arguments[0]}' runs on no ranks; give '-- run RECIPE' or '-- evaluate RECIPE ...'")
    return recipe_of(ranks)


def _say_idle_ranks(recipe: Recipe, world_size: int) -> None:
    if (problem := recipe.runtime.idle_ranks(world_size)) is not None:
        print(f"note: {problem}", file=sys.stderr, flush=True)


def _num_slots(hostfile: Path) -> int:
    from xstilts.launch.hostfile import parse_hostfile

    return sum(host.slots for host in parse_hostfile(hostfile))


def _add_check(commands: Subparsers[argparse.ArgumentParser]) -> None:
    sub = add_command(commands, "check", _check, "look at every host of a hostfile before GPU time is spent")
    sub.add_argument("--hostfile", type=Path, required=True, help=_HOSTFILE)
    sub.add_argument("--run-dir", type=Path, help="folder for runs, which all hosts must share")
    sub.add_argument("--cache-dir", type=Path, help="folder of the dataset cache, the same on every host")
    sub.add_argument("--recipe", help="say as well whether its micro-batches fit the ranks")


def _check(options: argparse.Namespace) -> int:
    from xstilts.config.load import load_recipe
    from xstilts.preflight.check import run_check

    if options.recipe:
        _say_idle_ranks(load_recipe(options.recipe), _num_slots(options.hostfile))
    return run_check(options.hostfile, options.run_dir, options.cache_dir)


def _add_launch(commands: Subparsers[argparse.ArgumentParser]) -> None:
    sub = add_command(
        commands, "launch", _launch, "run on all hosts under a supervisor that ends, and can restart, a broken run"
    )
    sub.add_argument("--hostfile", type=Path, required=True, help=_HOSTFILE)
    sub.add_argument(
        "--lanes",
        type=int,
        default=1,
        metavar="N",
        help="so many launches side by side, which divide the slots and the study's work; default 1",
    )
    sub.add_argument("--include", default="", metavar="HOST:0,1[@...]", help="slots to use; default: all")
    sub.add_argument(
        "--launcher", choices=("pdsh", "openmpi"), default="pdsh", help="what starts the ranks; default pdsh"
    )
    sub.add_argument("--launcher-args", default="", metavar="ARGS", help="for pdsh or mpirun, as one argument")
    sub.add_argument("--master-addr", help="address of the first host; default: the one ssh reached it by")
    sub.add_argument("--master-port", type=int, help="default: a free one")
    sub.add_argument(
        "--max-restarts", type=int, default=0, metavar="N", help="relaunches from the last checkpoint; default 0"
    )
    sub.add_argument(
        "--silence",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="without a heartbeat, then a rank is dead; default 30",
    )
    sub.add_argument(
        "--start-timeout", type=float, default=600.0, metavar="SECONDS", help="for all ranks to start; default 600"
    )
    sub.add_argument(
        "--hang-timeout",
        type=float,
        default=1800.0,
        metavar="SECONDS",
        help="without progress on any rank; default 1800",
    )
    sub.add_argument(
        "--save-timeout", type=float, default=600.0, metavar="SECONDS", help="to save when asked to stop; default 600"
    )
    sub.add_argument("arguments", nargs="+", metavar="-- COMMAND", help=f"what {program_name()} does on every rank")


def _launch(options: argparse.Namespace) -> int:
    from xstilts.launch.hostfile import parse_hostfile
    from xstilts.launch.lanes import divide_slots, included, run_lanes
    from xstilts.launch.options import LaunchOptions
    from xstilts.launch.supervisor import run_launch

    if options.silence < 10:
        raise UserError(f"--silence {options.silence:g} is too short: heartbeats come every 2 s; give 10 or more")
    if options.max_restarts < 0:
        raise UserError(f"--max-restarts {options.max_restarts} is negative; give 0 or more")
    recipe = _recipe_of_ranks(options)
    ranks_options = options.parse(options.arguments)
    if options.arguments[0] == "run" and say_if_finished(recipe, run_dir_of(ranks_options, recipe)):
        return EXIT_OK
    launch = LaunchOptions(
        hostfile=options.hostfile,
        script=entry_script(),
        arguments=tuple(options.arguments),
        include=options.include,
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
    hosts = included(options.hostfile, parse_hostfile(options.hostfile), options.include)
    num_slots = sum(host.slots for host in hosts)
    if options.lanes == 1:
        _say_idle_ranks(recipe, num_slots)
        return run_launch(launch)
    if options.arguments[0] != "run":
        raise UserError(f"--lanes share the work of a study, and '{options.arguments[0]}' has none to share; drop it")
    if options.include or options.launcher == "openmpi":
        raise UserError("--lanes divides all slots of the hostfile, by pdsh; drop --include and --launcher openmpi")
    includes = divide_slots(options.hostfile, hosts, options.lanes)
    ranks = max(1, num_slots // options.lanes)
    shared = f"; {options.lanes // num_slots} share each slot" if options.lanes > num_slots else ""
    print(
        f"launch: {options.lanes} lanes of {ranks} rank{'s' if ranks > 1 else ''}{shared}", file=sys.stderr, flush=True
    )
    _say_idle_ranks(recipe, ranks)
    return run_lanes(launch, includes)


def _add_slurm(commands: Subparsers[argparse.ArgumentParser]) -> None:
    sub = add_command(commands, "slurm", _slurm, "print a batch script that checks its nodes and launches on them")
    sub.add_argument("--nodes", type=int, required=True, help="nodes of the job")
    sub.add_argument("--gpus", type=int, required=True, help="per node")
    sub.add_argument("--time", required=True, help="limit, e.g. 24:00:00")
    sub.add_argument("--run-dir", type=Path, default=Path("runs"), help="shared folder for output and hostfile")
    sub.add_argument("--name", default="xstilts", help="of the job; default xstilts")
    sub.add_argument("--partition", help="of the cluster; default: its own")
    sub.add_argument("--account", help="that is charged; default: the user's own")
    sub.add_argument("--cpus-per-gpu", type=int, default=8, help="CPU cores for each; default 8")
    sub.add_argument("--save-seconds", type=int, default=300, help="before the limit, the ranks save; default 300")
    sub.add_argument("--max-restarts", type=int, default=2, help="relaunches from the last checkpoint; default 2")
    sub.add_argument("--lanes", type=int, default=1, help="launches in a job that share the study's work; default 1")
    sub.add_argument("--tasks", type=int, default=1, help="such jobs, as tasks of an array; default 1")
    sub.add_argument("arguments", nargs="+", metavar="-- COMMAND", help=f"what {program_name()} does on every rank")


def _slurm(options: argparse.Namespace) -> int:
    from xstilts.launch.slurm import SlurmJob, check_sbatch, sbatch_script

    _say_idle_ranks(_recipe_of_ranks(options), max(1, options.nodes * options.gpus // max(1, options.lanes)))
    script = sbatch_script(
        SlurmJob(
            arguments=tuple(options.arguments),
            nodes=options.nodes,
            gpus=options.gpus,
            time=options.time,
            script=entry_script(),
            run_dir=options.run_dir.resolve(),
            name=options.name,
            partition=options.partition,
            account=options.account,
            cpus_per_gpu=options.cpus_per_gpu,
            save_seconds=options.save_seconds,
            max_restarts=options.max_restarts,
            lanes=options.lanes,
            tasks=options.tasks,
        )
    )
    if (problem := check_sbatch(script)) is not None:
        raise UserError(f"the batch script would be refused: {problem}; change the options it complains about")
    print(script, end="")
    return EXIT_OK
