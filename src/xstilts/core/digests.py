"""What JSON values are known by."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def digest_of_json(value: Any) -> str:
    """SHA-256 of a JSON value, however it is written down, before and after."""
    value = json.loads(json.dumps(value))  # keys that are numbers become text, and are sorted as such
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
