"""How long a failure takes to end a supervised run on every host, and with which exit code, on two hosts of namespaces.

    sudo make proof-failures        or, as root:  python benchmarks/failures.py [--launcher openmpi]

Prints a Markdown table. The hosts are made by tests/distributed/hosts.py: real ssh, real links, nothing outside.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "distributed"))

import failures
import hosts
import tiny


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--launcher", choices=("pdsh", "openmpi"), default="pdsh")
    parser.add_argument("failures", nargs="*", default=list(failures.FAILURES), metavar="FAILURE")
    options = parser.parse_args()
    if reason := hosts.why_not():
        print(reason, file=sys.stderr)
        return 2
    print("| failure | done | gone from alpha (s) | gone from beta (s) | launch over (s) | exit code | said |")
    print("|---|---|---:|---:|---:|---:|---|", flush=True)
    bounded = True
    with tempfile.TemporaryDirectory(prefix="xstilts-failures-") as name:
        world = Path(name) / "tiny" / "world"
        tiny.make_world(world)
        for number, failure in enumerate(options.failures):
            outcome = failures.suffer(failure, Path(name) / str(number), world, options.launcher)
            times = [*outcome.hosts.values(), outcome.supervisor]
            bounded = bounded and bool(outcome.code) and all(seconds is not None and seconds < 60 for seconds in times)
            shown = " | ".join("never" if seconds is None else f"{seconds:.1f}" for seconds in times)
            said = outcome.verdict.replace(f"{name}/{number}/", "")
            print(f"| {failure} | {failures.FAILURES[failure]} | {shown} | {outcome.code} | {said} |", flush=True)
    return 0 if bounded else 1


if __name__ == "__main__":
    sys.exit(main())
