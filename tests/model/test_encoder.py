"""Encoders from a configuration, from released checkpoints and from our own stages: every tensor accounted for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM, XLMRobertaModel

from xstilts.config.recipe import Model
from xstilts.core.errors import UserError
from xstilts.core.sealed import write_sealed
from xstilts.model.encoder import load_encoder, new_encoder, pretrained_encoder
from xstilts.synthetic.tokenizer import train_tokenizer
from xstilts.text.tokenizer import Tokenizer

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


@pytest.fixture
def released(config: XLMRobertaConfig, tmp_path: Path) -> Path:
    """A folder as a released XLM-R is: encoder and masked-language-model head, written by `transformers`."""
    torch.manual_seed(2)
    folder = tmp_path / "xlm-r"
    XLMRobertaForMaskedLM(config).save_pretrained(folder)
    return folder


def change(folder: Path, **tensors: torch.Tensor | None) -> None:
    """Replaces tensors (`.` in a name written `__`) in the checkpoint; None removes one."""
    path = folder / "model.safetensors"
    state = load_file(path)
    for name, tensor in tensors.items():
        state.pop(name.replace("__", "."), None)
        if tensor is not None:
            state[name.replace("__", ".")] = tensor
    save_file(state, path, metadata={"format": "pt"})


def fails(folder: Path, tokenizer: Tokenizer) -> str:
    """The one line that loading ends with."""
    with pytest.raises(UserError) as caught:
        pretrained_encoder(Model(pretrained=str(folder)), tokenizer)
    message = str(caught.value)
    assert "\n" not in message and message.startswith("model.pretrained")
    return message


def test_random_weights_depend_on_the_seed_alone(tokenizer: Tokenizer) -> None:
    torch.manual_seed(8)
    one = new_encoder(Model(config=SMALL), tokenizer, seed=1).state_dict()
    before = torch.get_rng_state()
    same = new_encoder(Model(config=SMALL), tokenizer, seed=1).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    other = new_encoder(Model(config=SMALL), tokenizer, seed=2).state_dict()
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["embeddings.word_embeddings.weight"], other["embeddings.word_embeddings.weight"])


def test_a_released_checkpoint_gives_its_encoder_and_its_head(released: Path, tokenizer: Tokenizer) -> None:
    encoder, head = pretrained_encoder(Model(pretrained=str(released), config={"hidden_dropout_prob": 0.0}), tokenizer)
    state = load_file(released / "model.safetensors")
    for name, parameter in encoder.named_parameters():
        assert torch.equal(parameter, state[f"roberta.{name}"]), name
    assert encoder.config.hidden_dropout_prob == 0.0
    assert torch.equal(head["dense.weight"], state["lm_head.dense.weight"])
    assert torch.equal(head["norm.bias"], state["lm_head.layer_norm.bias"])
    assert torch.equal(head["decoder.bias"], state["lm_head.bias"])
    assert len(head) == 5


def test_a_checkpoint_without_head_gives_none(
    config: XLMRobertaConfig, tokenizer: Tokenizer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    XLMRobertaModel(config, add_pooling_layer=True).save_pretrained(tmp_path)
    capfd.readouterr()
    encoder, head = pretrained_encoder(Model(pretrained=str(tmp_path)), tokenizer)
    state = load_file(tmp_path / "model.safetensors")
    assert torch.equal(encoder.get_input_embeddings().weight, state["embeddings.word_embeddings.weight"])
    assert head == {}
    assert capfd.readouterr() == ("", "")  # no report on the head that is not there


def test_a_tensor_that_the_checkpoint_lacks_is_an_error(released: Path, tokenizer: Tokenizer) -> None:
    change(released, roberta__encoder__layer__1__attention__self__key__bias=None)
    assert "lacks roberta.encoder.layer.1.attention.self.key.bias;" in fails(released, tokenizer)


def test_a_tensor_without_place_is_an_error(released: Path, tokenizer: Tokenizer) -> None:
    change(released, roberta__adapter__weight=torch.zeros(2), roberta__adapter__bias=torch.zeros(2))
    assert "has no place for roberta.adapter.bias and 1 more" in fails(released, tokenizer)


def test_a_tensor_of_another_shape_is_an_error(released: Path, tokenizer: Tokenizer) -> None:
    change(released, roberta__encoder__layer__0__output__dense__bias=torch.zeros(5))
    assert "another shape" in fails(released, tokenizer)
    assert "roberta.encoder.layer.0.output.dense.bias" in fails(released, tokenizer)


def test_pickled_weights_are_not_loaded(released: Path, tokenizer: Tokenizer) -> None:
    torch.save(load_file(released / "model.safetensors"), released / "pytorch_model.bin")
    (released / "model.safetensors").unlink()
    assert "safetensors" in fails(released, tokenizer)


@pytest.mark.parametrize("size", [0, 6, 100, 5000])
def test_a_truncated_file_is_an_error(released: Path, tokenizer: Tokenizer, size: int) -> None:
    path = released / "model.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    assert str(released) in fails(released, tokenizer)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"hidden_size": 16}', '{"model_type": "bert"}'])
def test_a_config_that_is_no_xlm_r_is_an_error(released: Path, tokenizer: Tokenizer, text: str) -> None:
    (released / "config.json").write_text(text)
    fails(released, tokenizer)


@pytest.mark.parametrize("reader", [XLMRobertaForMaskedLM, XLMRobertaConfig])
def test_an_error_without_a_message_is_one_line_too(
    released: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, reader: type
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise OSError

    name = "from_pretrained" if reader is XLMRobertaForMaskedLM else "get_config_dict"
    monkeypatch.setattr(reader, name, fail)
    assert "(OSError)" in fails(released, tokenizer)


def test_a_missing_folder_is_an_error(tokenizer: Tokenizer, tmp_path: Path) -> None:
    assert "nowhere" in fails(tmp_path / "nowhere", tokenizer)


def test_a_vocabulary_larger_than_the_embeddings_is_an_error(released: Path, tmp_path: Path) -> None:
    train_tokenizer([" ".join(map(chr, range(0x4E00, 0x4E80)))], 200, tmp_path / "large")
    with pytest.raises(UserError, match=r"the tokenizer has .* pieces but the model .* embeddings"):
        pretrained_encoder(Model(pretrained=str(released)), Tokenizer(str(tmp_path / "large")))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"hiden_size": 16}, r"model.config.hiden_size: .*did you mean 'hidden_size'\?"),
        ({"hidden_size": "big"}, r"model.config.hidden_size is 'big'; give a whole number above 0"),
        ({"num_attention_heads": 0}, "give a whole number above 0"),
        ({"hidden_size": 18, "num_attention_heads": 4}, "hidden_size 18 is not a multiple of num_attention_heads 4"),
        ({"hidden_dropout_prob": 1.5}, "model.config.hidden_dropout_prob is 1.5; give a share from 0 to below 1"),
        ({"vocab_size": 100}, "model.config.vocab_size: not a field that can be set"),
    ],
)
def test_a_field_that_does_not_fit_is_an_error(tokenizer: Tokenizer, config: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        new_encoder(Model(config={**SMALL, **config}), tokenizer, seed=0)


def test_only_dropout_can_be_set_over_a_pretrained_model(released: Path, tokenizer: Tokenizer) -> None:
    with pytest.raises(UserError, match=r"model\.config\.hidden_size: .* over a pretrained model"):
        pretrained_encoder(Model(pretrained=str(released), config={"hidden_size": 16}), tokenizer)


def saved_stage(encoder: XLMRobertaModel, path: Path, **tensors: torch.Tensor) -> None:
    own = {f"encoder.{name}": parameter.detach() for name, parameter in encoder.named_parameters()}
    write_sealed(path, {**own, **tensors})


def test_a_stage_gives_back_its_encoder_and_what_lies_beside_it(
    encoder: XLMRobertaModel, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    path = tmp_path / "weights.safetensors"
    saved_stage(encoder, path, **{"heads.ccg.out.bias": torch.ones(3)})
    loaded, beside = load_encoder(json.loads(encoder.config.to_json_string()), path, tokenizer)
    for name, parameter in encoder.named_parameters():
        assert torch.equal(parameter, dict(loaded.named_parameters())[name])
    assert beside.keys() == {"heads.ccg.out.bias"}


def mapped_from(tensor: torch.Tensor) -> str:
    """The file whose pages lie where the tensor does; empty for memory of the process."""
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        span, _, _, _, _, *file = line.split(maxsplit=5)
        first, last = (int(address, 16) for address in span.split("-"))
        if first <= tensor.data_ptr() < last:
            return file[0] if file else ""
    raise AssertionError("nothing is mapped there")


def test_weights_are_views_of_their_file_which_they_never_change(
    released: Path, encoder: XLMRobertaModel, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    stage = tmp_path / "weights.safetensors"
    saved_stage(encoder, stage)
    given, _ = pretrained_encoder(Model(pretrained=str(released)), tokenizer)
    trained, _ = load_encoder(encoder.config.to_dict(), stage, tokenizer)
    for path, loaded in ((released / "model.safetensors", given), (stage, trained)):
        before = path.read_bytes()
        assert {mapped_from(parameter) for parameter in loaded.parameters()} == {str(path)}
        with torch.no_grad():
            for parameter in loaded.parameters():
                parameter.zero_()
        assert path.read_bytes() == before


def test_what_no_file_holds_of_a_stage_is_as_in_a_new_encoder(
    encoder: XLMRobertaModel, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    saved_stage(encoder, tmp_path / "weights.safetensors")
    state = torch.get_rng_state()
    loaded, _ = load_encoder(encoder.config.to_dict(), tmp_path / "weights.safetensors", tokenizer)
    assert torch.equal(torch.get_rng_state(), state)
    expected = dict(encoder.named_buffers())
    assert expected and dict(loaded.named_buffers()).keys() == expected.keys()
    for name, buffer in loaded.named_buffers():
        assert buffer.device.type == "cpu" and torch.equal(buffer, expected[name]), name
    assert loaded.state_dict().keys() == encoder.state_dict().keys()


def test_a_stage_with_another_configuration_or_broken_weights_is_an_error(
    encoder: XLMRobertaModel, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    path = tmp_path / "weights.safetensors"
    saved_stage(encoder, path)
    deeper = {**encoder.config.to_dict(), "num_hidden_layers": 4}
    with pytest.raises(UserError, match=r"weights\.safetensors: encoder\.layer\.3.*does not fit the encoder"):
        load_encoder(deeper, path, tokenizer)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(UserError, match=r"weights\.safetensors: cannot be read"):
        load_encoder(encoder.config.to_dict(), path, tokenizer)
