"""The report of a host about itself; `check` runs it on every host, with `probe_devices`.

Stands alone (standard library, and torch where it exists): its source is sent to `python -` by ssh, so that it reports
on a host where the checkout or a package is missing or another one.
"""

import glob
import hashlib
import importlib.metadata
import os
import platform
import shutil
import socket
import subprocess
import time

_PACKAGES = ("torch", "deepspeed", "transformers", "datasets", "numpy")
_SOURCE_SUFFIXES = (".py", ".yaml", ".json")


def host_report(
    *, project: str, sources: tuple[str, ...], run_dir: str, cache_dir: str, nonce: str
) -> dict[str, object]:
    """The state of this host: the fields of `host_report.HostReport` but for its devices.

    Args:
        project: root of the checkout, or folder of the installed package.
        sources: files and folders of `project` that a run reads.
        run_dir: folder that must be shared by all hosts, "" for none; it holds the file `nonce`.
        cache_dir: folder that must have the same files everywhere, "" for none.
        nonce: name of the file that the asking machine wrote.
    """
    memory = _meminfo()
    return {
        "hostname": socket.gethostname(),
        "machine": _machine(),
        "versions": {"python": platform.python_version(), **_versions(), **_cuda()},
        "commit": _commit(project),
        "sources": _digest(project, sources, suffixes=_SOURCE_SUFFIXES, contents=True),
        "cache": _digest(cache_dir, (".",), contents=False) if cache_dir else "",
        "shares_run_dir": _shares(run_dir, nonce) if run_dir else None,
        "memory_free": memory.get("MemAvailable", 0),
        "shm_free": _free("/dev/shm"),
        "disk_free": _free(run_dir or project),
        "cpus": len(os.sched_getaffinity(0)),
        "port": _free_port(),
        "stale_locks": _stale_locks(),
    }


def _machine() -> str:
    """This start of the kernel, and the namespaces that we are in: a container is a host of its own."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
        return " ".join([boot, *(os.readlink(f"/proc/self/ns/{kind}") for kind in ("net", "pid"))])
    except OSError:
        return ""


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
    if not os.path.exists(os.path.join(project, ".git")):  # git would look further up
        return ""
    command = ["git", "-C", project, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _digest(folder: str, names: tuple[str, ...], *, contents: bool, suffixes: tuple[str, ...] = ("",)) -> str:
    """Hash of the files and folders `names` of `folder`: the paths of their files, and these files' contents or sizes.

    "absent" where there is no such folder, "empty" where there is no such file in it.
    """
    if not os.path.isdir(folder):
        return "absent"
    paths = []
    for name in names:
        path = os.path.join(folder, name)
        paths += [path] if os.path.isfile(path) else []
        for parent, folders, files in os.walk(path):
            folders[:] = [name for name in folders if name != "__pycache__"]
            paths += [os.path.join(parent, file) for file in files]
    digest = hashlib.sha256()
    chosen = sorted(path for path in paths if path.endswith(suffixes) and os.path.isfile(path))
    for path in chosen:
        digest.update(os.path.relpath(path, folder).encode() + b"\0")
        if contents:
            with open(path, "rb") as file:
                digest.update(hashlib.sha256(file.read()).digest())
        else:
            digest.update(b"%d\0" % os.path.getsize(path))
    return digest.hexdigest()[:12] if chosen else "empty"


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
