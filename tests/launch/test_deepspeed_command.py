"""Arguments and variables reach the ranks as they were written, through every quoting in between."""

from __future__ import annotations

import errno
import os
import shlex
import subprocess
from argparse import Namespace
from pathlib import Path

import pytest
from deepspeed.launcher.multinode_runner import PDSHRunner
from deepspeed.launcher.runner import parse_args
from hypothesis import given, settings
from hypothesis import strategies as st

from xstilts.core.errors import UserError
from xstilts.launch.deepspeed_command import (
    deepspeed_command,
    env_file_text,
    launch_environment,
    launched_environment,
    rank_environment,
)
from xstilts.launch.hostfile import Host

TWO = (Host("a", 2, 1), Host("b", 2, 2))


def command(
    arguments: tuple[str, ...] = (),
    hosts: tuple[Host, ...] = TWO,
    launcher: str = "pdsh",
    launcher_args: str = "",
    script: Path | None = Path("train.py"),
) -> Namespace:
    words = deepspeed_command(
        hostfile=Path("hosts"),
        hosts=hosts,
        launcher=launcher,  # type: ignore[arg-type]
        launcher_args=launcher_args,
        master=("10.0.0.1", 29501),
        script=script,
        arguments=arguments,
        exports=("XSTILTS_RUN_ID",),
    )
    assert words[1:3] == ["-m", "deepspeed.launcher.runner"]
    return parse_args(words[3:])


@settings(deadline=None, max_examples=60)
@given(word=st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), min_size=1, max_size=12))
def test_argument_survives_deepspeed_pdsh_and_the_remote_shell(word: str) -> None:
    options = command(("run", f"x{word}"))
    words = PDSHRunner(options, "").parse_user_args()
    line = " ".join(words).replace("%%", "%")  # pdsh joins with spaces and reads %% as %
    done = subprocess.run(["sh", "-c", f'printf "%s\\0" {line}'], capture_output=True, check=True)
    assert done.stdout.decode().split("\0")[:-1] == ["run", f"x{word}"]


def test_flags() -> None:
    options = command(("run", "demo", "--run-dir", "/x"))
    assert options.no_ssh_check and options.no_local_rank and not options.force_multi
    assert (options.master_addr, options.master_port, options.hostfile) == ("10.0.0.1", 29501, "hosts")
    assert options.user_script == "train.py"
    assert options.user_args == ["run", "demo", "--run-dir", "/x"]


def test_an_installed_package_is_started_as_a_module() -> None:
    options = command(("run", "demo"), script=None)
    assert (options.module, options.user_script, options.user_args) == (True, "xstilts", ["run", "demo"])


def test_single_remote_host_is_not_run_here() -> None:
    assert command(hosts=(Host("far", 8, 1),)).force_multi
    assert not command(hosts=(Host("localhost", 8, 1),)).force_multi


def test_arguments_of_other_launchers_meet_no_shell() -> None:
    assert command(("a b", "$x"), launcher="openmpi").user_args == ["a b", "$x"]
    assert shlex.split(command(launcher="openmpi").launcher_args) == ["-x", "XSTILTS_RUN_ID"]
    assert command(("a b", "$x"), hosts=(Host("localhost", 2, 1),)).user_args == ["a b", "$x"]


def test_environment_of_the_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".deepspeed_env").write_text("# mine\n\nNCCL_DEBUG=INFO\nA=1=2\n")
    (tmp_path / ".deepspeed_env").write_text("A = 3\n")
    base = {"PATH": "/bin", "OMP_NUM_THREADS": "4", "HF_TOKEN": "secret", "AWS_SECRET": "s", "XSTILTS_DATA": "/d"}
    launcher, ranks = launch_environment(run_id="xs1", supervisor="10.0.0.9:7", silence=30, base=base)
    assert ranks.pop("PATH").endswith(":/bin")
    assert ranks == {
        "OMP_NUM_THREADS": "4",
        "XSTILTS_DATA": "/d",
        "NCCL_DEBUG": "INFO",
        "A": "3",
        "XSTILTS_RUN_ID": "xs1",
        "XSTILTS_SUPERVISOR": "10.0.0.9:7",
        "XSTILTS_SILENCE_SECONDS": "30",
    }
    assert launcher["HF_TOKEN"] == "secret"
    assert "StrictHostKeyChecking=yes" in launcher["PDSH_SSH_ARGS_APPEND"]
    assert "StrictHostKeyChecking=yes" in launcher["OMPI_MCA_plm_rsh_args"]
    for line in env_file_text(ranks).splitlines():  # as DeepSpeed reads it
        key, value = line.split("=", maxsplit=1)
        assert ranks[key] == value


@pytest.mark.parametrize("line", ["export TOKEN=hf_S3cret", "hf_S3cret", "hf/S3cret==", "\u00e4=hf_S3cret"])
def test_bad_line_of_an_environment_file_is_named_and_not_shown(tmp_path: Path, line: str) -> None:
    path = tmp_path / "env"
    path.write_text(f"A=1\n\n{line}\n", encoding="utf-8")
    with pytest.raises(UserError, match=rf"^{path}:3: this is not NAME=value; correct or remove the line") as caught:
        rank_environment({"DS_ENV_FILE": str(path)})
    assert "S3cret" not in str(caught.value)


def test_environment_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=rf"^{tmp_path}: cannot read it \(Is a directory\); make it a readable file$"):
        rank_environment({"DS_ENV_FILE": str(tmp_path)})
    path = tmp_path / "env"
    path.write_bytes(b"A=\xff\n")
    with pytest.raises(UserError, match=rf"^{path}: not UTF-8 text; "):
        rank_environment({"DS_ENV_FILE": str(path)})
    monkeypatch.setattr(Path, "read_text", _refuse)
    with pytest.raises(UserError, match=rf"^{path}: cannot read it \(Permission denied\); "):
        rank_environment({"DS_ENV_FILE": str(path)})


def _refuse(path: Path, encoding: str) -> str:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


@pytest.mark.parametrize("name", ["PDSH_SSH_ARGS", "PDSH_SSH_ARGS_APPEND", "OMPI_MCA_plm_rsh_args"])
@pytest.mark.parametrize("option", ["-o StrictHostKeyChecking=no", "-ostricthostkeychecking=accept-new"])
def test_variables_cannot_turn_host_key_checking_off(name: str, option: str) -> None:
    """ssh goes by the first value of an option, and what pdsh and mpirun are given first is the user's."""
    with pytest.raises(UserError, match=rf"^{name}: .*remove it"):
        launch_environment(run_id="xs1", supervisor="a:7", silence=30, base={name: option})
    harmless, _ = launch_environment(run_id="xs1", supervisor="a:7", silence=30, base={name: "-p 2222"})
    assert harmless[name].startswith("-p 2222")


@pytest.mark.parametrize("words", ["--mca plm_rsh_args -v", "-o StrictHostKeyChecking=no"])
def test_launcher_args_cannot_turn_host_key_checking_off(words: str) -> None:
    with pytest.raises(UserError, match=r"^--launcher-args: host keys stay checked"):
        command(launcher="openmpi", launcher_args=words)


def test_what_a_rank_has_that_deepspeed_launches(tmp_path: Path) -> None:
    path = tmp_path / "env"
    path.write_text("NCCL_DEBUG=WARN\nMINE=1\n")
    base = {"DS_ENV_FILE": str(path), "NCCL_SOCKET_IFNAME": "ib0", "NCCL_DEBUG": "INFO", "UCX_TLS": "tcp", "OTHER": "1"}
    found = launched_environment(base)
    assert found.pop("PATH")
    assert found == {"NCCL_SOCKET_IFNAME": "ib0", "NCCL_DEBUG": "WARN", "UCX_TLS": "tcp", "MINE": "1"}
