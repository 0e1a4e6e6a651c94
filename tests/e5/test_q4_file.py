"""The 4-bit file: values by hand, and every kind of damage as one line."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from q4_writer import PIECES, TABLE, Written

from xstilts.core.errors import UserError
from xstilts.e5.q4_file import decode_q4, read_q4

BY_HAND = [-2.0, -1.75, -1.5, -1.25, -1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75]


def fails(content: bytes) -> str:
    """The one line that reading ends with."""
    with pytest.raises(UserError) as caught:
        read_q4(content, "some.bin")
    message = str(caught.value)
    assert "\n" not in message and message.startswith("some.bin: ") and "make encoder" in message
    return message


def test_a_block_is_a_scale_times_halves_of_bytes_less_8() -> None:
    rising_and_falling = struct.pack("<e", 0.25) + bytes(low | (15 - low) << 4 for low in range(16))
    lowest = struct.pack("<e", -3.0) + bytes(16)
    values = decode_q4(rising_and_falling + lowest)
    assert values.dtype == np.float32
    assert values.tolist() == [*BY_HAND, *reversed(BY_HAND), *[24.0] * 32]


def test_a_file_gives_what_was_written(written: Written) -> None:
    found = read_q4(written.content(), "some.bin")
    assert list(vars(found.sizes).values()) == written.sizes
    assert found.layer_norm_eps == np.float32(1e-12)
    assert found.pieces == PIECES
    assert found.replacements == TABLE
    assert {name: tensor.size for name, tensor in found.tensors.items()} == {
        name: num_elements for name, (_, num_elements, _) in written.tensors.items()
    }
    assert found.tensors["emb.ln.w"].tobytes() == written.tensors["emb.ln.w"][2]
    assert np.array_equal(found.tensors["l1.fi.w"], decode_q4(written.tensors["l1.fi.w"][2]))


def test_a_file_cut_anywhere_is_one_line(written: Written) -> None:
    content = written.content()
    places = {fails(content[:end]).split(": ")[1] for end in [*range(0, 1400, 3), *range(1400, len(content), 499)]}
    assert {"magic number", "sizes", "vocabulary", "scores of pieces", "text of pieces", "normaliser's table"} <= places
    assert {"directory of tensors", "tensor emb.word", "tensor l1.oln.b"} <= places


@pytest.mark.parametrize("value", [0x00, 0x7F, 0xFF])
def test_no_damaged_byte_is_more_than_one_line(written: Written, value: int) -> None:
    """What is still an encoder's file is read; nothing is anything else than read or refused."""
    content = written.content()
    refusals = []
    for place in range(content.index(written.tensors["emb.word"][2])):
        damaged = content[:place] + bytes([value]) + content[place + 1 :]
        try:
            read_q4(damaged, "some.bin")
        except UserError as error:
            refusals.append(str(error))
    assert len(refusals) > 100
    assert not [message for message in refusals if "\n" in message or not message.startswith("some.bin: ")]


def test_another_kind_of_file_is_named_as_such(written: Written) -> None:
    content = written.content()
    assert "magic number: damaged: does not begin with E5S1" in fails(b"PK\3\4" + content[4:])
    assert "version: damaged: is 2, not 1" in fails(content[:4] + struct.pack("<i", 2) + content[8:])


def test_sizes_that_are_no_encoders_are_refused(written: Written) -> None:
    written.sizes[2] = 5
    assert "sizes: damaged" in fails(written.content())
    written.sizes[2], written.sizes[4] = 4, len(PIECES) - 1
    assert f"{len(PIECES)} pieces do not fit {len(PIECES) - 1} rows" in fails(written.content())


def test_pieces_that_no_vocabulary_has_are_refused(written: Written) -> None:
    written.pieces[5] = ("qa", float("nan"))
    assert "scores of pieces: damaged: hold NaN" in fails(written.content())
    written.pieces[5] = ("b", -1.0)
    assert "text of pieces: damaged: the same piece occurs twice" in fails(written.content())
    written.pieces[5] = ("qa", -1.0)
    written.pieces[-1] = ("mask", 0.0)
    assert "<mask> are not where XLM-R has them" in fails(written.content())


def test_tensors_that_are_not_what_they_are_said_to_be_are_refused(written: Written) -> None:
    kind, num_elements, stored = written.tensors["emb.word"]
    written.tensors["emb.word"] = (0, num_elements, stored)
    assert f"{num_elements:,} elements of type 0 are not {len(stored):,} bytes" in fails(written.content())
    written.tensors["emb.word"] = (kind, num_elements, struct.pack("<e", float("inf")) + stored[2:])
    assert "tensor emb.word: damaged: holds NaN or infinity" in fails(written.content())
