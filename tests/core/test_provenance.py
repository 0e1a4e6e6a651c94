"""What a folder says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from xstilts.core.errors import UserError
from xstilts.core.provenance import Provenance, read_provenance, write_provenance

SOME = Provenance("a model", ["It is small."], "a file", "MIT", None, {"config.json": "0123"})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert read_provenance(tmp_path) is None
    write_provenance(tmp_path, SOME)
    assert read_provenance(tmp_path) == SOME


@pytest.mark.parametrize(
    ("content", "place"), [("{", "not JSON"), ('{"name": "x"}', "caveats"), ("[]", "not JSON"), ('{"name": 3}', "name")]
)
def test_a_damaged_file_is_one_line(tmp_path: Path, content: str, place: str) -> None:
    (tmp_path / "provenance.json").write_text(content)
    with pytest.raises(UserError, match=rf"provenance.json: {place}: .*; make the encoder's folder again") as caught:
        read_provenance(tmp_path)
    assert "\n" not in str(caught.value)
