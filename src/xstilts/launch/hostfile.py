"""DeepSpeed hostfiles: `name slots=N` per line, read as DeepSpeed reads them but refusing what it lets through.

DeepSpeed 0.19.8 (`launcher/runner.py`, `_parse_hostfile`) skips blank lines and lines that start with `#`, matches
`^(\\S+)\\s+slots=(\\d+)` and ignores whatever follows the digits; a missing file is a warning there and a single-node
run. Here a missing file, zero slots, and text after the slots other than a comment are errors as well.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xstilts.core.errors import UserError

_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.:-]*[A-Za-z0-9_])?")
_SLOTS = re.compile(r"slots=([0-9]+)")
_SHORT_LOOPBACK = re.compile(r"127(\.[0-9]+){1,2}")  # 127.1 is 127.0.0.1 to the resolver
_MAX_SLOTS = 1024
_MAX_NAME = 253
_FORM = "write one 'name slots=N' per line"


@dataclass(frozen=True, slots=True)
class Host:
    """One line of a hostfile."""

    name: str
    """What ssh is given: a host name, an address, or an alias of ssh_config."""
    slots: int
    """Number of ranks on this host, one per accelerator."""
    line: int
    """1-based line of the hostfile, for messages."""


def parse_hostfile(path: Path) -> tuple[Host, ...]:
    """The hosts of the file at `path` in its order, which is the order of ranks.

    Raises:
        UserError: the file is missing, unreadable or empty, or a line is malformed, names a host twice, or names this
            machine by loopback beside other hosts, which would wait for it for ever.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError.at(
            path, None, "no such hostfile", "create it, or name an existing one with --hostfile"
        ) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UserError.at(path, line, "not UTF-8 text", _FORM) from None
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise UserError.at(path, None, f"cannot read the hostfile ({reason})", "name a readable file") from None
    hosts: dict[str, Host] = {}
    for number, raw in enumerate(text.split("\n"), start=1):
        line_text = raw.strip()
        if not line_text or line_text.startswith("#"):
            continue
        host = _parse_line(path, number, line_text)
        first = hosts.setdefault(host.name, host)
        if first is not host:
            raise UserError.at(
                path,
                number,
                f"host '{host.name}' is already on line {first.line}",
                "keep one line and add up its slots",
            )
    if not hosts:
        raise UserError.at(path, None, "the hostfile names no host", _FORM)
    for host in hosts.values():
        if len(hosts) > 1 and _is_loopback(host):
            problem = f"host '{host.name}' is another machine to every other host"
            raise UserError.at(path, host.line, problem, "write the name or address by which the others reach it")
    return tuple(hosts.values())


def _parse_line(path: Path, number: int, text: str) -> Host:
    name, *rest = text.split("#", 1)[0].split()  # the text does not start with '#', so there is a first word
    if not _NAME.fullmatch(name) or len(name) > _MAX_NAME:
        raise UserError.at(path, number, f"{_quote(name)} is not a host name", _FORM)
    if not rest:
        raise UserError.at(path, number, f"host '{name}' has no slots", _FORM)
    slots = _SLOTS.fullmatch(rest[0])
    if slots is None:
        raise UserError.at(path, number, f"{_quote(rest[0])} is not 'slots=N'", _FORM)
    digits = slots[1].lstrip("0")
    if not digits or len(digits) > 4 or int(digits) > _MAX_SLOTS:
        problem = f"slots={slots[1][:12]} is outside 1..{_MAX_SLOTS}"
        raise UserError.at(path, number, problem, "give the number of accelerators of this host")
    if len(rest) > 1:
        raise UserError.at(path, number, f"{_quote(rest[1])} after the slots", "remove it: DeepSpeed would ignore it")
    return Host(name=name, slots=int(digits), line=number)


def _is_loopback(host: Host) -> bool:
    try:
        return ipaddress.ip_address(host.name).is_loopback
    except ValueError:
        return host.name.lower().partition(".")[0] == "localhost" or _SHORT_LOOPBACK.fullmatch(host.name) is not None


def _quote(word: str) -> str:
    """`word` as a short printable literal: hostfiles may hold anything."""
    return repr(word if len(word) <= 40 else word[:40] + "...")


def host_of_rank(hosts: Sequence[Host]) -> tuple[Host, ...]:
    """The host of each global rank: hosts in file order, each with `slots` consecutive ranks, as DeepSpeed counts."""
    return tuple(host for host in hosts for _ in range(host.slots))
