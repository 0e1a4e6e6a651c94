"""Joining the process group under Open MPI: the rendezvous that rank 0 was given, the device of each rank's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from launch import environment, free_port

SET_UP = """
import os
import sys

if os.environ["OMPI_COMM_WORLD_RANK"] != "0":  # as on another host
    os.environ.pop("MASTER_ADDR", None)
    os.environ.pop("MASTER_PORT", None)

import deepspeed
import torch

chosen = []
deepspeed.accelerator.get_accelerator().set_device = chosen.append
init = deepspeed.init_distributed

def init_distributed(**options):
    assert chosen == [int(os.environ["OMPI_COMM_WORLD_RANK"])], "all ranks would meet on the first device"
    init(**options)

deepspeed.init_distributed = init_distributed
from xstilts.distributed import dist

dist.set_up()
if dist.rank() == 1:
    print("joined", dist.rank(), dist.world_size(), os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"])
dist.tear_down()
"""


def mpirun(**variables: str) -> str:
    if shutil.which("mpirun") is None:
        pytest.skip("needs mpirun (Debian: openmpi-bin)")
    command = ["mpirun", "-n", "2", "--oversubscribe", "--allow-run-as-root", sys.executable, "-c", SET_UP]
    outside = {name: value for name, value in os.environ.items() if not name.startswith("MASTER_")}
    ended = subprocess.run(
        command, env=outside | environment() | variables, capture_output=True, text=True, timeout=200, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return next(line for line in ended.stdout.splitlines() if line.startswith("joined"))


def test_the_address_and_port_that_rank_0_was_given_count_for_all() -> None:
    port = str(free_port())
    assert mpirun(MASTER_ADDR="127.0.0.1", MASTER_PORT=port) == f"joined 1 2 127.0.0.1 {port}"


def test_the_port_counts_without_an_address_too() -> None:
    port = str(free_port())
    said = mpirun(MASTER_PORT=port).split()
    assert said[:3] == ["joined", "1", "2"] and said[-1] == port
