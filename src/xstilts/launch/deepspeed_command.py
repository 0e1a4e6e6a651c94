"""The `deepspeed` command line and environment of one launch attempt, with the launcher's known traps closed.

DeepSpeed 0.19.8: the ssh check tries only the first host; the variables in `.deepspeed_env` are the only ones forwarded
besides PYTHON*, NCCL*, MV2*, UCX* and MLFLOW*, and a blank line there is a crash; one remote host is launched on this
machine unless `--force_multi`; pdsh hands arguments to a remote shell unquoted; the command, secrets of the environment
included, is logged at level info.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from xstilts.core.entrypoint import MODULE
from xstilts.core.errors import UserError
from xstilts.distributed.protocol import ENV_RUN_ID, ENV_SILENCE, ENV_SUPERVISOR
from xstilts.launch.hostfile import Host
from xstilts.launch.ssh import SSH_OPTIONS, is_local

Launcher = Literal["pdsh", "openmpi"]

_FORWARDED = frozenset(
    "OMP_NUM_THREADS DS_ACCELERATOR TORCH_EXTENSIONS_DIR GLOO_SOCKET_IFNAME HF_HOME HF_HUB_OFFLINE HF_DATASETS_CACHE"
    " HF_DATASETS_OFFLINE TRANSFORMERS_OFFLINE".split()
)
"""By name, not by prefix: what is forwarded is seen in process lists, and HF_TOKEN must not be."""

_BY_DEEPSPEED = ("NCCL", "UCX", "PYTHON", "MV2", "MLFLOW")
"""Prefixes of the variables that DeepSpeed forwards of itself."""

_SSH_VARIABLES = ("PDSH_SSH_ARGS", "PDSH_SSH_ARGS_APPEND", "OMPI_MCA_plm_rsh_args", "OMPI_MCA_plm_rsh_agent")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def deepspeed_command(
    *,
    hostfile: Path,
    hosts: Sequence[Host],
    include: str = "",
    launcher: Launcher,
    launcher_args: str,
    master: tuple[str, int],
    script: Path | None,
    arguments: Sequence[str],
    exports: Sequence[str],
) -> list[str]:
    """The argument vector that starts `script`, or the installed module, with `arguments` on every slot of `hosts`.

    Args:
        include: slots of the hostfile, which are those of `hosts`; empty: all.
        exports: names of the environment variables that openmpi forwards; pdsh reads them from `$DS_ENV_FILE`.

    Raises:
        UserError: `launcher_args` would replace the options of ssh that keep host keys checked, or the launcher takes
            no `include`.
    """
    if include and launcher == "openmpi":
        raise UserError("--include and --lanes: DeepSpeed's openmpi launcher takes whole hosts; give --launcher pdsh")
    if "plm_rsh_" in launcher_args or "stricthostkeychecking" in launcher_args.lower():
        raise UserError(
            "--launcher-args: host keys stay checked; put other options of ssh into OMPI_MCA_plm_rsh_args or ssh_config"
        )
    command = [sys.executable, "-m", "deepspeed.launcher.runner", "--hostfile", str(hostfile)]
    command += ["--launcher", launcher, "--no_ssh_check", "--no_local_rank", "--log_level", "warning"]
    command += ["--master_addr", master[0], "--master_port", str(master[1])]
    if include:
        command += ["--include", include]
    remote = len(hosts) > 1 or not is_local(hosts[0].name)
    if remote and len(hosts) == 1:
        command.append("--force_multi")
    if launcher == "openmpi":
        launcher_args = " ".join([launcher_args, *(f"-x {name}" for name in exports)]).strip()
    if launcher_args:
        command += ["--launcher_args", launcher_args]
    quoted = [_for_pdsh(word) for word in arguments] if remote and launcher == "pdsh" else list(arguments)
    return [*command, *([str(script)] if script else ["--module", MODULE]), *quoted]


def _for_pdsh(word: str) -> str:
    """`word` such that it survives DeepSpeed's quoting (only if it holds a space), pdsh's `%` and the remote shell."""
    word = word.replace("%", "%%")
    if " " not in word:
        return shlex.quote(word)
    for special in "\\$`":  # DeepSpeed adds double quotes and escapes those within
        word = word.replace(special, "\\" + special)
    return word


def launch_environment(
    *, run_id: str, supervisor: str, silence: float, base: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """The environment of the launcher, and the part of it that every rank must have.

    Raises:
        UserError: as `rank_environment`, or a variable would have ssh check host keys in another way.
    """
    for name in _SSH_VARIABLES:  # ssh takes the first value of an option, and the user's come first
        if "stricthostkeychecking" in base.get(name, "").lower():
            raise UserError(f"{name}: sets StrictHostKeyChecking, and host keys stay checked; remove it from there")
    ranks = rank_environment(base)
    ranks |= {ENV_RUN_ID: run_id, ENV_SUPERVISOR: supervisor, ENV_SILENCE: f"{silence:g}"}
    launcher = {**base, **ranks}
    launcher["PDSH_SSH_ARGS_APPEND"] = f"{base.get('PDSH_SSH_ARGS_APPEND', '')} {SSH_OPTIONS}".strip()
    launcher["OMPI_MCA_plm_rsh_args"] = f"{base.get('OMPI_MCA_plm_rsh_args', '')} {SSH_OPTIONS}".strip()
    launcher["OMPI_MCA_xstilts_run_id"] = run_id  # on the command lines of mpirun's daemons, for `kill_leftovers`
    return launcher, ranks


def rank_environment(base: Mapping[str, str]) -> dict[str, str]:
    """The part of the environment `base` that every rank must have, with the user's `.deepspeed_env` files.

    These are the one that `$DS_ENV_FILE` names, or those in the home and the working directory.

    Raises:
        UserError: one of those files cannot be read, or a line of it is not `NAME=value`.
    """
    ranks = {name: value for name, value in base.items() if name in _FORWARDED or name.startswith("XSTILTS_")}
    ranks["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), base.get("PATH", os.defpath)])
    for folder in (Path.home(), Path.cwd()):
        ranks |= _read_env_file(folder / base.get("DS_ENV_FILE", ".deepspeed_env"))
    return ranks


def launched_environment(base: Mapping[str, str]) -> dict[str, str]:
    """All variables of `base` and of the user's files that a rank has which DeepSpeed launches from there.

    Raises:
        UserError: as `rank_environment`.
    """
    forwarded = {
        name: value for name, value in base.items() if name.startswith(_BY_DEEPSPEED) and _NAME.fullmatch(name)
    }
    return forwarded | rank_environment(base)


def env_file_text(variables: Mapping[str, str]) -> str:
    """`variables` in the form of `.deepspeed_env`, which DeepSpeed reads without blank lines or comments."""
    return "".join(f"{name}={value}\n" for name, value in variables.items())


def _read_env_file(path: Path) -> dict[str, str]:
    """The variables of the file at `path`. No message shows anything of a line: a token may stand in it."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError.at(path, None, f"cannot read it ({error.strerror})", "make it a readable file") from None
    except UnicodeDecodeError:
        raise UserError.at(path, None, "not UTF-8 text", "write one NAME=value per line") from None
    variables = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not _NAME.fullmatch(name.strip()):
            raise UserError.at(path, number, "this is not NAME=value", "correct or remove the line (no 'export')")
        variables[name.strip()] = value.strip()
    return variables
