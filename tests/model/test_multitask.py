"""Every head in every micro-batch: gradients, initialisation, embeddings."""

from __future__ import annotations

import pytest
import torch
from transformers import XLMRobertaConfig, XLMRobertaModel

from xstilts.data.batch import PackedBatch, collate
from xstilts.kinds import CHOICE, MLM, PAIR, RANKING, SPAN, TAGGING
from xstilts.kinds.feature import Feature
from xstilts.kinds.head_input import Collation, TaskItems
from xstilts.model.attention import NAME, cut_rectangles
from xstilts.model.multitask import HeadSpec, MultiTaskModel
from xstilts.text.tokenizer import Tokenizer

SPECS = {
    "mnli": HeadSpec(PAIR, 3),
    "cosmos_qa": HeadSpec(CHOICE),
    "squad_v2": HeadSpec(SPAN),
    "ccg": HeadSpec(TAGGING, 5),
    "mlm_text": HeadSpec(MLM),
}
KINDS = {name: spec.kind for name, spec in SPECS.items()}
PAIR = Feature("a", [0, 7, 8, 2], [4], [0], [2])


def gradients(model: MultiTaskModel, batch: PackedBatch) -> dict[str, torch.Tensor | None]:
    model.train()
    loss, _ = model(batch)
    loss.backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("items", [[], [TaskItems.of("mnli", [PAIR], 1.0)]], ids=["filler", "one task"])
def test_absent_heads_get_a_gradient_of_zero_and_not_none(
    encoder: XLMRobertaModel, tokenizer: Tokenizer, items: list[TaskItems], checkpointing: bool
) -> None:
    if checkpointing:
        encoder.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    model = MultiTaskModel(encoder, SPECS, seed=0)
    found = gradients(model, collate(items, KINDS, Collation(tokenizer)))
    assert [name for name, gradient in found.items() if gradient is None] == []
    present = {item.task for item in items}
    moved = {name for name, gradient in found.items() if gradient is not None and gradient.any()}
    assert {name.split(".")[1] for name in moved if name.startswith("heads.")} == present
    assert bool(present) == any(name.startswith("encoder.layer") or "encoder.layer" in name for name in moved)


def test_activation_checkpointing_changes_no_gradient(config: XLMRobertaConfig, tokenizer: Tokenizer) -> None:
    found = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        config._attn_implementation = NAME
        encoder = XLMRobertaModel(config, add_pooling_layer=False)
        if checkpointing:
            encoder.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
        model = MultiTaskModel(encoder, SPECS, seed=0)
        torch.manual_seed(5)  # the same dropout
        found.append(gradients(model, collate([TaskItems.of("mnli", [PAIR], 1.0)], KINDS, Collation(tokenizer))))
    for name, gradient in found[0].items():
        torch.testing.assert_close(gradient, found[1][name], rtol=0, atol=1e-6)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_last_layer_gives_heads_what_it_gives_when_all_of_it_is_computed(
    encoder: XLMRobertaModel, tokenizer: Tokenizer, checkpointing: bool
) -> None:
    options = Feature("c", [0, 7, 2, 2, 8, 2, 0, 7, 2, 2, 9, 9, 2], [6, 7], [0, 6], [1])
    tags = Feature("d", [0, 7, 8, 9, 2, 0, 8, 2], [5, 3], [1, 3, 6], [4, 0, 2], num_targets=3)
    answer = Feature("e", [0, 7, 2, 2, 8, 9, 2], [7], [0], [4, 5])
    text = Feature("f", [0, 6, 7, 8, 9, 6, 2], [7])
    named = [("squad_v2", answer), ("mnli", PAIR), ("ccg", tags), ("cosmos_qa", options), ("mlm_text", text)]
    items = [TaskItems.of(name, [feature], 0.2) for name, feature in [*named, ("mnli", PAIR)]]
    batch = collate(items, KINDS, Collation(tokenizer))
    model = MultiTaskModel(encoder, SPECS, seed=0).double()
    if checkpointing:
        encoder.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0

    rows = list[int]()
    hook = encoder.encoder.layer[-1].output.register_forward_hook(lambda _, given, out: rows.append(out.shape[1]))
    found = gradients(model, batch)
    assert set(rows) == {sum(len(each.positions_T) for each in batch.heads.values())} != {sum(batch.lengths_S)}
    hook.remove()
    model.zero_grad()
    model._encode = lambda given: encoder(  # type: ignore[method-assign]
        input_ids=given.tokens_L[None],
        position_ids=given.positions_L[None],
        segmentation=cut_rectangles(given.lengths_S),
    ).last_hidden_state[0, torch.cat([given.heads[name].positions_T for name in SPECS])]
    for name, gradient in gradients(model, batch).items():
        torch.testing.assert_close(found[name], gradient, rtol=0, atol=1e-12)


def test_the_loss_is_the_weighted_sum_over_tasks(encoder: XLMRobertaModel, tokenizer: Tokenizer) -> None:
    model = MultiTaskModel(encoder, SPECS, seed=0).eval()
    tags = Feature("b", [0, 7, 8, 2], [4], [1, 2], [4, 0], num_targets=2)

    def parts(*items: TaskItems) -> torch.Tensor:
        total, losses = model(collate(items, KINDS, Collation(tokenizer)))
        by_task, of_targets = losses[: len(SPECS)], losses[len(SPECS) :]
        assert len(of_targets) == sum(item.features.num_targets.sum() for item in items)
        assert total.item() == pytest.approx(by_task.sum().item())
        return by_task

    mnli, ccg = parts(TaskItems.of("mnli", [PAIR], 1.0)), parts(TaskItems.of("ccg", [tags], 1.0))
    assert mnli[0] > 0 and ccg[3] > 0
    both = parts(TaskItems.of("mnli", [PAIR], 0.25), TaskItems.of("ccg", [tags], 0.5))
    torch.testing.assert_close(both, 0.25 * mnli + 0.5 * ccg, rtol=0, atol=1e-5)


def test_a_head_starts_from_its_seed_and_task_alone(encoder: XLMRobertaModel) -> None:
    alone = MultiTaskModel(encoder, {"ccg": SPECS["ccg"]}, seed=3)
    torch.manual_seed(99)
    among = MultiTaskModel(encoder, SPECS, seed=3)
    other_seed = MultiTaskModel(encoder, SPECS, seed=4)
    own = alone.heads["ccg"].state_dict()
    for name, tensor in own.items():
        assert torch.equal(tensor, among.heads["ccg"].state_dict()[name])
    assert not torch.equal(own["out.weight"], other_seed.heads["ccg"].state_dict()["out.weight"])
    assert not torch.equal(among.heads["mnli"].dense.weight, among.heads["cosmos_qa"].dense.weight)


def test_the_masked_language_model_is_tied_and_leaves_the_embeddings_as_they_are(encoder: XLMRobertaModel) -> None:
    before = encoder.get_input_embeddings().weight.clone()
    model = MultiTaskModel(encoder, SPECS, seed=0)
    assert torch.equal(encoder.get_input_embeddings().weight, before)
    assert model.heads["mlm_text"].decoder.weight is encoder.get_input_embeddings().weight
    assert "heads.mlm_text.decoder.weight" not in dict(model.named_parameters())


@pytest.mark.parametrize(("num_layers", "layer"), [(24, 14), (12, 7), (4, 2), (2, 1), (1, 1)])
@torch.no_grad()
def test_sentence_embeddings_are_the_mean_over_all_tokens_of_layer_14_of_24(
    config: XLMRobertaConfig, tokenizer: Tokenizer, num_layers: int, layer: int
) -> None:
    config.num_hidden_layers = num_layers
    config._attn_implementation = NAME
    torch.manual_seed(0)
    encoder = XLMRobertaModel(config, add_pooling_layer=False).eval()
    sentences = [[0, 7, 8, 9, 2], [0, 6, 2]]
    features = [Feature(str(i), tokens, [len(tokens)], [0], [0]) for i, tokens in enumerate(sentences)]
    model = MultiTaskModel(encoder, {}, seed=0).eval()
    last, ran = encoder.encoder.layer[-1], list[str]()
    hook = last.register_forward_hook(lambda *_: ran.append("last"))
    embeddings_SH = model(collate([TaskItems.of("", features)], {"": RANKING}, Collation(tokenizer)), "embeddings")
    assert bool(ran) == (layer == num_layers), "a layer that nothing reads is run"
    hook.remove()

    encoder.set_attn_implementation("eager")
    for embedding_H, tokens in zip(embeddings_SH, sentences, strict=True):
        states = encoder(input_ids=torch.tensor([tokens]), output_hidden_states=True).hidden_states
        torch.testing.assert_close(embedding_H, states[layer][0].mean(0), rtol=0, atol=1e-5)
