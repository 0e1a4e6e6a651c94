"""How this program is started: by `train.py` in a checkout, by `python -m xstilts` where it is installed."""

from __future__ import annotations

from pathlib import Path

import xstilts

MODULE = "xstilts"
"""What `python -m` is given where there is no script."""


def entry_script() -> Path | None:
    """`train.py` of the checkout that this package lies in; None where it was installed."""
    script = Path(xstilts.__file__).resolve().parents[2] / "train.py"
    return script if script.is_file() else None


def program_name() -> str:
    """The command as messages write it."""
    script = entry_script()
    return script.name if script else MODULE
