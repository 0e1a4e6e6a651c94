"""What a model makes of a sample: hidden states of every layer, what its heads read and say, gradients for the Fisher.

Everything is computed in fp32, without dropout, on one device.

Shape suffixes: K hidden states (the embeddings, then each layer), N examples, T positions read, H hidden size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from xstilts.core.seeds import derive_seed
from xstilts.data.batch import collate, pack
from xstilts.kinds.feature import NO_LABEL, Feature
from xstilts.kinds.head_input import Collation, TaskItems
from xstilts.measures.fisher import diagonal_fisher, example_gradients, sampled_log_likelihood
from xstilts.model.layers import layer_means
from xstilts.model.multitask import MultiTaskModel
from xstilts.study.similarity.inputs import Inputs
from xstilts.study.works import kinds_of
from xstilts.text.tokenizer import Tokenizer


class Encoded:
    """A model that is measured."""

    def __init__(self, model: MultiTaskModel, tokenizer: Tokenizer, token_budget: int, device: torch.device) -> None:
        self._model = model.to(device).eval()
        self._tokenizer = tokenizer
        self._kinds = kinds_of(model.heads)
        self._device = device
        self._token_budget = token_budget

    def layers(self, inputs: Inputs) -> np.ndarray:
        """Mean over the tokens of each example's first segment in every hidden state, float32 [K, N, H]."""
        return np.concatenate([means.cpu().numpy() for means, _ in self._read(inputs)], axis=1)

    def labelled(self, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
        """The last hidden state where a head would read it, float32 [T, H], and the labels there, [T]."""
        features: list[np.ndarray] = []
        rows = iter(inputs.features)
        for (_, last_LH), segments in zip(self._read(inputs), self._cut(inputs.segments), strict=True):
            start = 0
            for segment in segments:
                feature = next(rows)
                positions = [start + position for position, _ in _known(feature)]
                features.append(last_LH[positions].float().cpu().numpy())
                start += len(segment)
        labels = [label for feature in inputs.features for _, label in _known(feature)]
        return np.concatenate(features), np.array(labels)

    @torch.no_grad()
    def probabilities(self, head: str, inputs: Inputs) -> np.ndarray:
        """What a head of the model says at the positions of `labelled`, float64 [T, classes]."""
        found = []
        for feature in inputs.features:
            probabilities = self._logits(head, feature).double().softmax(-1)
            row = {position: i for i, position in enumerate(feature.positions)}
            found.append(probabilities[[row[position] for position, _ in _known(feature)]].cpu().numpy())
        return np.concatenate(found)

    def fisher(self, head: str, inputs: Inputs, num_examples: int) -> dict[str, torch.Tensor]:
        """Diagonal of the true Fisher information of the encoder's layers, embeddings left out (their rows are the
        pieces that occur), with labels drawn from the model at the first examples; on the CPU."""
        parameters = dict(self._model.encoder.encoder.named_parameters())
        generator = torch.Generator().manual_seed(derive_seed(0, "fisher", head))

        def log_likelihoods() -> Iterator[torch.Tensor]:
            for feature in inputs.features[:num_examples]:
                logits = self._logits(head, feature)
                yield sampled_log_likelihood(logits.reshape(-1, logits.shape[-1]), generator)

        fisher = diagonal_fisher(example_gradients(log_likelihoods(), parameters))
        return {name: values.cpu() for name, values in fisher.items()}

    def _logits(self, head: str, feature: Feature) -> torch.Tensor:
        batch = collate([TaskItems.of(head, [feature])], self._kinds, Collation(self._tokenizer))
        logits: torch.Tensor = self._model(batch.to(self._device), "logits")[head]
        return logits

    def _read(self, inputs: Inputs) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for segments in self._cut(inputs.segments):
            yield layer_means(self._model, pack(segments, self._tokenizer).to(self._device))

    def _cut(self, segments: Sequence[list[int]]) -> Iterator[list[list[int]]]:
        """Runs of segments under the token budget, or of one that is longer."""
        run: list[list[int]] = []
        for segment in segments:
            if run and sum(map(len, run)) + len(segment) > self._token_budget:
                yield run
                run = []
            run.append(segment)
        yield run


def _known(feature: Feature) -> list[tuple[int, int]]:
    """(position, label) of what has one in the first segment."""
    pairs = zip(feature.positions, feature.targets, strict=True)
    return [(position, label) for position, label in pairs if label != NO_LABEL and position < feature.lengths[0]]
