"""Hosts on one machine: network namespaces behind one switch, each with its own sshd, name, processes and /dev/shm.

Root's own network is not touched and nothing outside the namespaces can be reached from them. Host keys are checked:
every host has its own key and all know all keys. `cut` takes a host's cable out. All of it ends with the context, and
with this process however it ends (`pdeathsig`), but for the namespaces' names, which are new for each run.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PROGRAMS = ("ip", "unshare", "nsenter", "setpriv", "ssh", "sshd", "ssh-keygen", "pdsh")
_SEARCH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def why_not() -> str | None:
    """Why hosts cannot be made here, or `None`."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "making hosts needs root on Linux"
    if missing := [name for name in _PROGRAMS if shutil.which(name, path=_SEARCH) is None]:
        return f"making hosts needs {', '.join(missing)} (Debian: iproute2 util-linux openssh-server pdsh)"
    if subprocess.run(["unshare", "--net", "--mount", "--uts", "--pid", "--fork", "true"], check=False).returncode != 0:
        return "making hosts needs namespaces, which this kernel or container refuses"
    return None


@dataclass(frozen=True)
class VirtualHost:
    """One host."""

    name: str
    address: str
    init: int
    """Process id (seen from outside) of its first process."""
    namespace: str
    switch: str
    port: str
    """The switch's end of its cable."""

    def command(self, *argv: str, cwd: Path = Path("/")) -> list[str]:
        """`argv` as started from outside to run on this host in `cwd`."""
        return ["nsenter", "-t", str(self.init), "-n", "-u", "-m", "-p", "-i", "--", "env", "-C", str(cwd), *argv]

    def run(
        self, *argv: str, env: Mapping[str, str] | None = None, timeout: float = 60, cwd: Path = Path("/")
    ) -> subprocess.CompletedProcess[str]:
        """Runs `argv` here to its end."""
        return subprocess.run(
            self.command(*argv, cwd=cwd), env=env, timeout=timeout, capture_output=True, text=True, check=False
        )

    def start(self, *argv: str, output: Path, env: Mapping[str, str], cwd: Path) -> subprocess.Popen[bytes]:
        """Starts `argv` here, its output in the file `output`."""
        with output.open("wb") as file:
            return subprocess.Popen(
                self.command(*argv, cwd=cwd), env=env, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
            )

    def processes(self, needle: str) -> dict[int, str]:
        """Process ids (seen from outside) and command lines of the processes here whose command line holds `needle`."""
        ours = os.readlink(f"/proc/{self.init}/ns/pid")
        found = {}
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{name}/ns/pid") == ours:
                    line = (
                        Path(f"/proc/{name}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                    )
                    if needle in line:
                        found[int(name)] = line
        return found

    def cut(self) -> None:
        """Takes the cable out."""
        _ip("-n", self.switch, "link", "set", self.port, "down")

    def mend(self) -> None:
        """Puts it back."""
        _ip("-n", self.switch, "link", "set", self.port, "up")


@contextlib.contextmanager
def virtual_hosts(
    folder: Path, names: Sequence[str] = ("alpha", "beta"), slots: int = 1
) -> Iterator[tuple[VirtualHost, ...]]:
    """Hosts called `names` that reach each other by name over ssh, as root, without a password.

    Args:
        folder: for keys and settings; `folder/hostfile` lists the hosts with `slots` each.
    """
    token = secrets.token_hex(3)
    switch = f"xs{token}s"
    addresses = {name: f"10.77.0.{number}" for number, name in enumerate(names, start=1)}
    _write_settings(folder, addresses)
    (folder / "hostfile").write_text("".join(f"{name} slots={slots}\n" for name in names))
    inits: list[subprocess.Popen[bytes]] = []
    namespaces = [switch]
    try:
        _ip("netns", "add", switch)
        _ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", switch, "link", "set", "bridge", "up")
        hosts = []
        for number, (name, address) in enumerate(addresses.items()):
            namespace, port = f"xs{token}h{number}", f"port{number}"
            _ip("netns", "add", namespace)
            namespaces.append(namespace)
            _ip("-n", switch, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", namespace)
            _ip("-n", switch, "link", "set", port, "master", "bridge", "up")
            _ip("-n", namespace, "addr", "add", f"{address}/24", "dev", "eth0")
            _ip("-n", namespace, "link", "set", "eth0", "up")
            _ip("-n", namespace, "link", "set", "lo", "up")
            inits.append(_boot(folder, namespace, name))
            hosts.append(VirtualHost(name, address, _first_child(inits[-1]), namespace, switch, port))
        _wait_for_ssh(hosts)
        yield tuple(hosts)
    finally:
        for init in inits:
            init.kill()
            init.wait()
        for namespace in namespaces:
            subprocess.run(["ip", "netns", "del", namespace], check=False, stderr=subprocess.DEVNULL)


def _write_settings(folder: Path, addresses: Mapping[str, str]) -> None:
    _keygen(folder / "user_key")
    known = []
    for name, address in addresses.items():
        _keygen(folder / f"host_key_{name}")
        known.append(f"{name},{address} {(folder / f'host_key_{name}.pub').read_text()}")
        (folder / f"sshd_{name}").write_text(
            f"ListenAddress {address}\nHostKey {folder}/host_key_{name}\nAuthorizedKeysFile {folder}/user_key.pub\n"
            "PidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n"
            "MaxStartups 100\nMaxSessions 100\n"
        )
    (folder / "known_hosts").write_text("".join(known))
    (folder / "ssh_config").write_text(f"IdentityFile {folder}/user_key\nUserKnownHostsFile {folder}/known_hosts\n")
    (folder / "hosts").write_text("127.0.0.1 localhost\n" + "".join(f"{a} {name}\n" for name, a in addresses.items()))


def _boot(folder: Path, namespace: str, name: str) -> subprocess.Popen[bytes]:
    sshd = shutil.which("sshd", path=_SEARCH)
    f = shlex.quote(str(folder))
    steps = [
        f"hostname {name}",
        "mount -t tmpfs -o size=2g tmpfs /dev/shm",
        "mount -t tmpfs tmpfs /run",
        "mkdir /run/sshd",
        f"mount --bind {f}/hosts /etc/hosts",
        f"mount --bind {f}/ssh_config /etc/ssh/ssh_config",
        "if [ -d ~root/.ssh ]; then mount -t tmpfs tmpfs ~root/.ssh; fi",
        f"exec {sshd} -D -e -f {f}/sshd_{name}",
    ]
    unshare = ["unshare", "--uts", "--mount", "--ipc", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]
    with (folder / f"sshd_{name}.log").open("wb") as log:
        return subprocess.Popen(
            [
                "setpriv",
                "--pdeathsig",
                "KILL",
                "ip",
                "netns",
                "exec",
                namespace,
                *unshare,
                "sh",
                "-euc",
                "\n".join(steps),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={"PATH": _SEARCH},
        )


def _first_child(process: subprocess.Popen[bytes]) -> int:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if pids := children.read_text().split():
            return int(pids[0])
        time.sleep(0.02)
    raise RuntimeError("the first process of a host did not start")


def _wait_for_ssh(hosts: Sequence[VirtualHost]) -> None:
    deadline = time.monotonic() + 15
    for host in hosts:
        while (done := hosts[0].run("ssh", "-o", "BatchMode=yes", host.name, "hostname")).stdout.strip() != host.name:
            if time.monotonic() > deadline:
                raise RuntimeError(f"no ssh to {host.name}: {done.stderr}")
            time.sleep(0.1)


def _keygen(path: Path) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True, stdin=subprocess.DEVNULL
    )


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
