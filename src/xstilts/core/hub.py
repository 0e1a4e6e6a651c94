"""The Hugging Face hub, asked once whether it is there: its clients would try again and again, and say so each time."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path

from xstilts.core.errors import UserError, reason_of

_SECONDS = 10.0


def hub_id(key: str, name: str) -> str:
    """`name`, which is no folder, as what the hub may hold; says once where the hub cannot be reached.

    Raises:
        UserError: the recipe's `key` names a folder that is not there.
    """
    if name.startswith(("/", ".", "~")) or name.count("/") > 1:
        raise UserError(f"{key}: there is no folder {name}; mend the path, or give a hub id: OWNER/NAME")
    connect()
    return name


def not_there(key: str, name: str, error: BaseException) -> UserError:
    """That the hub could not give what the recipe's `key` names."""
    reason = connect() or reason_of(error)
    hint = f"; there is no folder {name} either" if Path(name).parent.is_dir() and "/" in name else ""
    problem = f"{key}: cannot fetch '{name}' ({reason}){hint}"
    return UserError(f"{problem}; prepare where the hub can be reached, or give a local folder")


@cache
def connect() -> str | None:
    """Why the hub cannot be reached, None if it can: asked with the first call and true for the process and those that
    it starts. Out of reach, what was fetched before is all that there is, which is found at once."""
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    try:
        get_session().head(constants.ENDPOINT, timeout=_SECONDS)
    except Exception as error:  # whatever the HTTP client raises
        _stay_offline()
        reason = f"the hub is out of reach: {reason_of(error)}"
        if os.environ.get("RANK", "0") == "0":
            told = "what was fetched before is used; HF_HUB_OFFLINE=1 spares the attempt"
            print(f"note: {reason}; {told}", file=sys.stderr, flush=True)
        return reason
    return None


def _stay_offline() -> None:
    """The switch of `huggingface_hub`, by which `transformers` goes too; `datasets` has a copy of it."""
    from huggingface_hub import constants

    os.environ["HF_HUB_OFFLINE"] = "1"
    constants.HF_HUB_OFFLINE = True
    if (loaded := sys.modules.get("datasets.config")) is not None:
        loaded.HF_HUB_OFFLINE = True  # type: ignore[attr-defined]
