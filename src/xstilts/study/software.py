"""Which source computes: the state of our own."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import xstilts
from xstilts.study.provenance import Source

_SOURCE = Path(xstilts.__file__).parent
_SECONDS = 20.0


def source(folder: Path = _SOURCE) -> Source:
    """The state of the package in `folder`."""
    digest = source_digest(folder)
    try:
        # A package that is installed below somebody else's checkout is not that checkout's.
        if _git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
            return Source(commit=None, dirty=None, unknown_because="not in a git checkout", digest=digest)
        commit, changes = _git(folder, "rev-parse", "HEAD"), _git(folder, "status", "--porcelain", "--", ".")
    except (OSError, subprocess.TimeoutExpired) as error:
        return Source(commit=None, dirty=None, unknown_because=f"git: {_reason(error)}", digest=digest)
    if commit is None or changes is None:
        return Source(commit=None, dirty=None, unknown_because="git cannot read the checkout", digest=digest)
    return Source(commit=commit, dirty=bool(changes), unknown_because=None, digest=digest)


def source_digest(folder: Path = _SOURCE) -> str:
    """SHA-256 over the package's modules."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints; None where it fails."""
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    # A variable of a hook that started this process would name another repository.
    environment = {name: value for name, value in os.environ.items() if name not in ("GIT_DIR", "GIT_WORK_TREE")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def _reason(error: OSError | subprocess.TimeoutExpired) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else f"no answer within {_SECONDS:.0f} s"
