"""An exception's message as part of one line."""

from __future__ import annotations

import pytest

from xstilts.core.errors import reason_of


@pytest.mark.parametrize(
    ("message", "first", "last"),
    [
        ("a\nb", "a", "b"),
        ("\n a \n\n b\n", "a", "b"),
        ("", "ValueError", "ValueError"),
        (" \n", "ValueError", "ValueError"),
    ],
)
def test_one_line_of_a_message_or_the_type(message: str, first: str, last: str) -> None:
    assert reason_of(ValueError(message)) == first
    assert reason_of(ValueError(message), last=True) == last
