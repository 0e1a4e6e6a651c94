"""Secrets kept out of what is written down about a run."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "***"

_SECRET_VARIABLE = re.compile(r"TOKEN(?!IZ)|SECRET|PASSW|CREDENTIAL|(API|ACCESS|PRIVATE)_?KEY", re.IGNORECASE)
_MIN_LENGTH = 8
"""Characters of a variable's value below which it is a switch or a number, and would be found in ordinary words."""
_FORMS = (
    re.compile(r"(?<=://)[^/@\s]+(?=@)"),
    re.compile(r"(?<=token=)[^&\s]+|(?<=secret=)[^&\s]+|(?<=password=)[^&\s]+|(?<=api_key=)[^&\s]+", re.IGNORECASE),
    re.compile(r"\b(hf_|gh[opsu]_|github_pat_|glpat-|sk-|xox[abp]-|AKIA)[A-Za-z0-9_-]{8,}"),
)
"""`user:password` of an address, a parameter of one, and the prefixes by which well-known services mark tokens."""


def redact(value: Any, environment: Mapping[str, str] = os.environ) -> Any:
    """A JSON value with `***` for every secret in its strings: whatever has the form of one, and the content of every
    environment variable that is named like one (`$HF_TOKEN` in a path of a recipe, say)."""
    named = {text for name, text in environment.items() if _SECRET_VARIABLE.search(name) and len(text) >= _MIN_LENGTH}
    return _redact(value, sorted(named, key=len, reverse=True))


def _redact(value: Any, secrets: list[str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _redact(each, secrets) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_redact(each, secrets) for each in value]
    if not isinstance(value, str):
        return value
    for secret in secrets:
        value = value.replace(secret, HIDDEN)
    for form in _FORMS:
        value = form.sub(HIDDEN, value)
    return value
