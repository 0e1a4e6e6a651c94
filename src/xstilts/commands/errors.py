"""A user's mistake on the screen."""

from __future__ import annotations

import os
import sys


def print_error(error: Exception) -> None:
    """One line per host, each rank of which has found the same mistake."""
    if os.environ.get("LOCAL_RANK", "0") == "0":
        for line in getattr(error, "details", ()):
            print(line, file=sys.stderr)
        print(f"error: {error}", file=sys.stderr, flush=True)
