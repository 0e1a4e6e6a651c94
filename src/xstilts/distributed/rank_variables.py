"""RANK, WORLD_SIZE and the rendezvous, which torch and DeepSpeed read from the environment, under any launcher."""

from __future__ import annotations

import os
import socket

_RENDEZVOUS = ("MASTER_ADDR", "MASTER_PORT")
DEFAULT_PORT = "29500"


def set_rank_variables() -> None:
    """Completes what the launcher has set: from Open MPI under `mpirun`, for a single rank without a launcher."""
    if "RANK" not in os.environ and "OMPI_COMM_WORLD_RANK" in os.environ:
        _read_open_mpi()
    elif "RANK" not in os.environ:
        os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    os.environ.setdefault("LOCAL_SIZE", os.environ.get("LOCAL_WORLD_SIZE", "1"))


def _read_open_mpi() -> None:
    """The rank from Open MPI's variables, before a device is chosen by it; the rendezvous from rank 0.

    DeepSpeed's own discovery (0.19.8) sets the rank after that, and the rendezvous to port 29500 of the first address
    of rank 0, whatever the environment says; only where rank 0 has no MASTER_ADDR is the address left to it. Rank 0's
    variables count for all ranks, since `mpirun` hands its environment to the ranks of its own host alone.
    """
    from mpi4py import MPI

    for name, of_mpi in (("RANK", "RANK"), ("WORLD_SIZE", "SIZE"), ("LOCAL_RANK", "LOCAL_RANK")):
        os.environ[name] = os.environ[f"OMPI_COMM_WORLD_{of_mpi}"]
    os.environ["LOCAL_WORLD_SIZE"] = os.environ["OMPI_COMM_WORLD_LOCAL_SIZE"]
    rendezvous = {"MASTER_PORT": DEFAULT_PORT} | {name: os.environ[name] for name in _RENDEZVOUS if name in os.environ}
    for name in _RENDEZVOUS:
        os.environ.pop(name, None)
    os.environ |= MPI.COMM_WORLD.bcast(rendezvous)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
