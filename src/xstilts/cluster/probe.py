"""What a host has to say about itself, and one end of a link measurement; `check` runs it on every host.

Stands alone (standard library, and torch where it exists): its source is sent to `python -` by ssh, so that it reports
on a host where the checkout or a package is missing or another one.
"""

import glob
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import socket
import subprocess
import time

_PACKAGES = ("torch", "deepspeed", "transformers", "datasets", "numpy")


def survey(*, project: str, run_dir: str, cache_dir: str, nonce: str, slots: int) -> str:
    """The state of this host as JSON (`check.Survey`).

    Args:
        project: root of the checkout.
        run_dir: folder that must be shared by all hosts, "" for none; it holds the file `nonce`.
        cache_dir: folder that must have the same files everywhere, "" for none.
        nonce: name of the file that the asking machine wrote.
        slots: number of ranks for this host.
    """
    memory = _meminfo()
    return json.dumps(
        {
            "hostname": socket.gethostname(),
            "versions": {"python": platform.python_version(), **_versions(), **_cuda()},
            "commit": _commit(project),
            "sources": _fingerprint(os.path.join(project, "src"), contents=True, suffix=".py"),
            "cache": _fingerprint(cache_dir, contents=False) if cache_dir else "",
            "shares_run_dir": _shares(run_dir, nonce) if run_dir else None,
            "memory_free": memory.get("MemAvailable", 0),
            "shm_free": _free("/dev/shm"),
            "disk_free": _free(run_dir or project),
            "cpus": len(os.sched_getaffinity(0)),
            "port": _free_port(),
            "stale_locks": _stale_locks(),
            "devices": _devices(slots),
        }
    )


def link(*, rank: int, world: int, address: str, port: int, device: int, mebibytes: int) -> str:
    """All-reduces `mebibytes` MiB among `world` processes.

    Returns:
        JSON: bytes per second that each process sent and received (NCCL's "bus bandwidth"), best of five.
    """
    from datetime import timedelta

    import torch
    import torch.distributed as dist

    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(device)
    dist.init_process_group(
        "nccl" if cuda else "gloo",
        init_method=f"tcp://{address}:{port}",
        rank=rank,
        world_size=world,
        timeout=timedelta(seconds=30),
    )
    data = torch.ones(mebibytes * 2**18, device="cuda" if cuda else "cpu")
    best = float("inf")
    for turn in range(6):
        dist.barrier()
        start = time.perf_counter()
        dist.all_reduce(data)
        if cuda:
            torch.cuda.synchronize()
        if turn:  # the first one sets connections up
            best = min(best, time.perf_counter() - start)
    dist.destroy_process_group()
    return json.dumps({"bytes_per_second": 2 * (world - 1) / world * mebibytes * 2**20 / best})


def _versions() -> dict[str, str]:
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "absent"
    return versions


def _cuda() -> dict[str, str]:
    try:
        import torch

        cuda = torch.version.cuda or "none"
    except ImportError:
        cuda = "absent"
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        lines = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False).stdout.split()
    except (OSError, subprocess.TimeoutExpired):
        lines = []
    return {"cuda": cuda, "driver": lines[0] if lines else "none"}


def _commit(project: str) -> str:
    command = ["git", "-C", project, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _fingerprint(folder: str, *, contents: bool, suffix: str = "") -> str:
    """Hash of the names below `folder` and of their contents or sizes; "absent" where there is no such folder."""
    if not os.path.isdir(folder):
        return "absent"
    digest = hashlib.sha256()
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(names):
            path = os.path.join(parent, name)
            if name.endswith(suffix) and os.path.isfile(path):
                digest.update(os.path.relpath(path, folder).encode() + b"\0")
                if contents:
                    with open(path, "rb") as file:
                        digest.update(hashlib.sha256(file.read()).digest())
                else:
                    digest.update(b"%d" % os.path.getsize(path))
    return digest.hexdigest()[:12]


def _shares(run_dir: str, nonce: str) -> bool:
    """Whether we can write there, and see the asker's file; network file systems may show it some seconds late."""
    own = os.path.join(run_dir, f"{nonce}.{socket.gethostname()}")
    try:
        with open(own, "x"):
            pass
        os.unlink(own)
    except OSError:
        return False
    for _ in range(10):
        if os.path.exists(os.path.join(run_dir, nonce)):
            return True
        time.sleep(0.5)
        try:
            os.listdir(run_dir)  # makes NFS look again
        except OSError:
            return False
    return False


def _meminfo() -> dict[str, int]:
    with open("/proc/meminfo", encoding="ascii") as file:
        return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in file}


def _free(path: str) -> int:
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return shutil.disk_usage(path).free


def _free_port() -> int:
    for port in range(20000 + os.getpid() % 5000, 30000):
        with socket.socket() as listener:
            try:
                listener.bind(("", port))
            except OSError:
                continue
            return port
    return 0


def _stale_locks() -> list[str]:
    """Locks of kernel builds older than ten minutes: the build was killed, and every later run waits for ever."""
    root = os.environ.get("TORCH_EXTENSIONS_DIR") or os.path.expanduser("~/.cache/torch_extensions")
    locks = glob.glob(f"{glob.escape(root)}/*/lock") + glob.glob(f"{glob.escape(root)}/*/*/lock")
    return [path for path in locks if time.time() - os.path.getmtime(path) > 600]


def _devices(slots: int) -> list[dict[str, object]]:
    """Name, bytes of memory and speed (floating-point operations per second) of each device that ranks will use."""
    try:
        import torch
    except ImportError:
        return []
    if not torch.cuda.is_available():
        return [
            {"name": platform.processor() or "cpu", "kind": "cpu", "free": 0, "total": 0, "speed": _matmul("cpu", 1024)}
        ]
    devices = []
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        name = torch.cuda.get_device_name(index)
        speed = _matmul(f"cuda:{index}", 8192) if index < slots else 0.0
        devices.append({"name": name, "kind": "cuda", "free": free, "total": total, "speed": speed})
    return devices


def _matmul(device: str, size: int) -> float:
    import torch

    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    matrix = torch.randn(size, size, dtype=dtype, device=device)
    best = float("inf")
    for _ in range(8):
        start = time.perf_counter()
        matrix @ matrix
        if device != "cpu":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best
