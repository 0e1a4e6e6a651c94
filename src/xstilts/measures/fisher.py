"""The diagonal of the Fisher information: which weights a task depends on (Achille et al. 2019; Vu et al. 2020).

The true Fisher takes gradients at labels drawn from the model, `sampled_log_likelihood`; the empirical one at the gold
labels, which makes it a measure of the remaining error as much as of the task (Kunstner et al. 2019). Dropout off.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import torch

Gradients = Mapping[str, torch.Tensor]
"""Name of a parameter -> gradient, in its shape."""


def diagonal_fisher(gradients: Iterable[Gradients]) -> dict[str, torch.Tensor]:
    """Mean over examples of the squared gradient of log p(y|x), float32, in the shape of each parameter.

    Args:
        gradients: of one example each; at least one. A gradient of a batch would square the sum, not sum the squares.
    """
    total: dict[str, torch.Tensor] = {}
    count = 0
    for of_example in gradients:
        for name, gradient in of_example.items():
            squared = gradient.detach().float().square()
            total[name] = squared if count == 0 else total[name].add_(squared)
        count += 1
    assert count, "no examples"
    return {name: squares.div_(count) for name, squares in total.items()}


def example_gradients(
    log_likelihoods: Iterable[torch.Tensor], parameters: Mapping[str, torch.Tensor]
) -> Iterator[dict[str, torch.Tensor]]:
    """The gradient of each log-likelihood, by autograd; zero for parameters that it does not depend on.

    Args:
        log_likelihoods: scalars, one of each example, computed as they are asked for: one graph is held at a time.
    """
    for log_likelihood in log_likelihoods:
        gradients = torch.autograd.grad(log_likelihood, list(parameters.values()), materialize_grads=True)
        yield dict(zip(parameters, gradients, strict=True))


def sampled_log_likelihood(logits: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """log p(y|x), a scalar, of labels y that are drawn from the model.

    Args:
        logits: [T, C], one row for each of the example's targets; -inf for classes that a row does not have.
        generator: on the CPU, so that a device draws the same labels.
    """
    log_p = logits.float().log_softmax(-1)
    drawn = torch.multinomial(log_p.detach().exp().cpu(), 1, generator=generator).to(logits.device)
    return log_p.gather(-1, drawn).sum()


def fisher_cosine(first: Gradients, second: Gradients) -> float:
    """Cosine of two diagonals over all parameters, from 0 to 1; over some of them where both hold only these."""
    assert first.keys() == second.keys(), "Fisher diagonals of different parameters"
    dot, norm_first, norm_second = (
        sum(float((x[name].double() * y[name].double()).sum()) for name in first)
        for x, y in ((first, second), (first, first), (second, second))
    )
    assert norm_first > 0 and norm_second > 0, "a Fisher diagonal is zero"
    return dot / (norm_first * norm_second) ** 0.5
