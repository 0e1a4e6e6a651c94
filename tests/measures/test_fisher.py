from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap

from xstilts.measures.fisher import diagonal_fisher, example_gradients, fisher_cosine, sampled_log_likelihood

NUM_CLASSES = 3


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, NUM_CLASSES)).double()


@pytest.fixture
def inputs() -> torch.Tensor:
    return torch.randn(6, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


GOLD = torch.tensor([0, 2, 1, 0, 1, 1])


def log_p(model: nn.Module, x: torch.Tensor, label: int) -> torch.Tensor:
    return model(x).log_softmax(-1)[label]


def gradients_at(model: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> Callable[[], Iterator]:
    parameters = dict(model.named_parameters())
    return lambda: example_gradients((log_p(model, x, int(y)) for x, y in zip(inputs, labels, strict=True)), parameters)


def test_empirical_equals_autograd_example_by_example(model: nn.Module, inputs: torch.Tensor) -> None:
    expected = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for x, y in zip(inputs, GOLD, strict=True):
        model.zero_grad()
        log_p(model, x, int(y)).backward()
        for name, p in model.named_parameters():
            assert p.grad is not None
            expected[name] += p.grad**2 / len(inputs)
    fisher = diagonal_fisher(gradients_at(model, inputs, GOLD)())
    assert fisher.keys() == expected.keys()
    for name, value in fisher.items():
        torch.testing.assert_close(value, expected[name].float(), rtol=1e-6, atol=1e-12)


def test_takes_gradients_from_torch_func_as_well(model: nn.Module, inputs: torch.Tensor) -> None:
    parameters = {name: p.detach() for name, p in model.named_parameters()}

    def of_one(given: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return functional_call(model, given, x).log_softmax(-1).gather(-1, y[None])[0]

    stacked = vmap(grad(of_one), in_dims=(None, 0, 0))(parameters, inputs, GOLD)
    fisher = diagonal_fisher({name: g[i] for name, g in stacked.items()} for i in range(len(inputs)))
    for name, value in diagonal_fisher(gradients_at(model, inputs, GOLD)()).items():
        torch.testing.assert_close(fisher[name], value, rtol=1e-6, atol=1e-12)


def test_a_batch_is_not_its_examples(model: nn.Module, inputs: torch.Tensor) -> None:
    """What the docstring warns of: the square of the summed gradient."""
    total = sum(log_p(model, x, int(y)) for x, y in zip(inputs, GOLD, strict=True))
    assert isinstance(total, torch.Tensor)
    of_batch = diagonal_fisher(example_gradients([total / len(inputs)], dict(model.named_parameters())))
    of_examples = diagonal_fisher(gradients_at(model, inputs, GOLD)())
    assert not torch.allclose(of_batch["0.weight"], of_examples["0.weight"], rtol=0.2)


def test_sampled_labels_give_the_true_fisher(model: nn.Module, inputs: torch.Tensor) -> None:
    """The exact expectation over labels weighs each one's squared gradient by its probability."""
    exact = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for x in inputs:
        for y in range(NUM_CLASSES):
            of_label = diagonal_fisher(gradients_at(model, x[None], torch.tensor([y]))())
            for name in exact:
                exact[name] += model(x).softmax(-1)[y].detach() * of_label[name] / len(inputs)
    generator = torch.Generator().manual_seed(2)
    draws = (sampled_log_likelihood(model(x)[None], generator) for _ in range(500) for x in inputs)
    sampled = diagonal_fisher(example_gradients(draws, dict(model.named_parameters())))
    assert fisher_cosine(sampled, {name: value.float() for name, value in exact.items()}) > 0.999
    total = {name: float(value.sum()) for name, value in exact.items()}
    for name, value in sampled.items():
        assert float(value.sum()) == pytest.approx(total[name], rel=0.05)
    never_right = diagonal_fisher(gradients_at(model, inputs, model(inputs).argmin(-1))())
    assert float(never_right["2.bias"].sum()) > 1.2 * total["2.bias"]  # the empirical one is larger where gold is not


def test_sampling_follows_the_probabilities_and_the_seed() -> None:
    logits = torch.tensor([[0.2, 0.5, 0.3]]).log().repeat(20_000, 1)
    picked = [float(sampled_log_likelihood(row[None], torch.Generator().manual_seed(3)).exp()) for row in logits[:5]]
    assert len(set(picked)) == 1
    generator = torch.Generator().manual_seed(4)
    joint = sampled_log_likelihood(logits, generator)
    entropy = -(logits[0].exp() * logits[0]).sum()
    assert float(-joint / 20_000) == pytest.approx(float(entropy), abs=0.01)


def test_options_that_an_example_does_not_have_are_never_drawn() -> None:
    scores = torch.tensor([[0.0, 1.0, float("-inf")], [float("-inf"), 0.0, float("-inf")]], requires_grad=True)
    generator = torch.Generator().manual_seed(5)
    for _ in range(50):
        value = sampled_log_likelihood(scores, generator)
        (gradient,) = torch.autograd.grad(value, scores)
        assert value.isfinite() and gradient.isfinite().all()


def test_parameters_without_part_in_an_example_get_zero() -> None:
    used, unused = torch.ones(2, requires_grad=True), torch.ones(3, requires_grad=True)
    fisher = diagonal_fisher(example_gradients([(used * 2).sum()], {"used": used, "unused": unused}))
    assert fisher["used"].tolist() == [4.0, 4.0] and fisher["unused"].tolist() == [0.0, 0.0, 0.0]


def test_gradients_handed_in_are_left_alone() -> None:
    gradient = {"w": torch.tensor([2.0])}
    assert diagonal_fisher([gradient, gradient, gradient])["w"].tolist() == [4.0]
    assert gradient["w"].tolist() == [2.0]


def test_cosine_by_hand() -> None:
    """(3, 0, 4) and (0, 0, 1) over two parameters: 4/5."""
    first = {"a": torch.tensor([[3.0, 0.0]]), "b": torch.tensor([4.0])}
    second = {"a": torch.tensor([[0.0, 0.0]]), "b": torch.tensor([1.0])}
    assert fisher_cosine(first, second) == pytest.approx(0.8)
    assert fisher_cosine(first, first) == pytest.approx(1.0)
    assert fisher_cosine(first, {"b": second["b"] * 1e-9, "a": second["a"]}) == pytest.approx(0.8)
