"""The entrypoint: `deepspeed [launcher flags] train.py run RECIPE`, or `python train.py run RECIPE` on one rank.

python train.py plan demo                       what would run
deepspeed --num_gpus 2 train.py run demo        train, score, report
deepspeed --hostfile hostfiles/two_nodes train.py run RECIPE training.lr=3e-5
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec

ROOT = os.path.dirname(os.path.abspath(__file__))


def use_environment() -> None:
    """Starts anew with the Python of `.venv` where this one lacks a dependency; without a `.venv`, says what to do."""
    missing = [name for name in ("torch", "pydantic") if find_spec(name) is None]
    if not missing and sys.version_info >= (3, 11):
        return
    environment = os.path.join(ROOT, ".venv")
    python = os.path.join(environment, "bin", "python")
    if os.path.exists(python) and os.path.realpath(sys.prefix) != os.path.realpath(environment):
        os.execv(python, [python, os.path.abspath(__file__), *sys.argv[1:]])
    problem = f"has no {missing[0]}" if missing else "is older than 3.11"
    sys.stderr.write(f"error: {sys.executable} {problem}; type 'make setup' in {ROOT} once, then the same again\n")
    sys.exit(2)


if __name__ == "__main__":
    use_environment()
    sys.path.insert(0, os.path.join(ROOT, "src"))
    from xstilts.cli import main

    sys.exit(main())
