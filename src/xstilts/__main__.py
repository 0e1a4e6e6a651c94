"""`python -m xstilts`, and `deepspeed --module xstilts` for many ranks: `train.py` of an installed package."""

from __future__ import annotations

import sys

from xstilts.cli import main

if __name__ == "__main__":
    sys.exit(main())
