"""The measures of one pair of samples, in the words of the table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from xstilts.measures import overlap, representation, transferability
from xstilts.measures.typology import Aspect, Typology
from xstilts.study.similarity.inputs import Inputs
from xstilts.study.similarity.table import Value

BEFORE, AFTER = "before", "after"
LayersByWeights = Mapping[str, np.ndarray]
"""`BEFORE` and `AFTER` -> float32 [K, N, H]: mean over tokens in each of K hidden states."""

ASPECTS: tuple[Aspect, ...] = ("syntactic", "phonological", "inventory")
_MIN_TEXTS = 4
"""Of the debiased CKA."""


def of_places(task: LayersByWeights, language: LayersByWeights) -> Iterator[Value]:
    """Where the texts of a language lie from a task's, in every layer."""
    num = min(task[AFTER].shape[1], language[AFTER].shape[1])
    for weights, layers in language.items():
        for layer, (x, y) in enumerate(zip(task[weights], layers, strict=True)):
            yield Value("embedding_cosine", representation.mean_embedding_cosine(x, y), num, weights, layer)
            yield Value("centroid_distance", representation.centroid_distance(x, y), num, weights, layer)


def of_stage(language: LayersByWeights) -> Iterator[Value]:
    """How much of a language's representations a stage has left as it was: CKA of the same texts before and after."""
    yield from _cka("cka_stage", language[BEFORE], language[AFTER], "")


def of_translations(english: LayersByWeights | None, language: LayersByWeights) -> Iterator[Value]:
    """CKA of a language's texts and their English translations; None where the target has no such."""
    if english is None:
        yield Value("cka_english", None, 0, missing="the target's English examples are no translations of these")
        return
    for weights, layers in language.items():
        yield from _cka("cka_english", english[weights], layers, weights)


def of_texts(task: Inputs, language: Inputs) -> Iterator[Value]:
    """What both share on the surface."""
    num = min(len(task.features), len(language.features))
    yield Value("chrf", overlap.chrf(task.texts, language.texts), num)
    yield Value("subword_jaccard", overlap.subword_jaccard(task.pieces, language.pieces), num)
    yield Value("subword_coverage", overlap.subword_coverage(task.pieces, language.pieces), num)


def of_features(features: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Iterator[Value]:
    """How well the encoder's last layer, before and after, would predict English labels."""
    for weights, (rows, labels) in features.items():
        if len(np.unique(labels)) < 2:
            missing = "all labels are the same"
            yield from (Value(name, None, len(rows), weights, missing=missing) for name in ("log_me", "h_score"))
            continue
        yield Value("log_me", transferability.log_me(rows, labels), len(rows), weights)
        yield Value("h_score", transferability.shrunk_h_score(rows, labels), len(rows), weights)


def of_typology(load: Callable[[], Typology | str], first: str, second: str) -> Iterator[Value]:
    """Typological distances of two languages, named by key; `load` may say why there are none."""
    codes = first.partition("_")[0], second.partition("_")[0]
    private = next((code for code in codes if "qaa" <= code <= "qtz"), None)
    typology = f"{private} is no natural language" if private else load()
    for aspect in ASPECTS:
        if isinstance(typology, str):
            yield Value(f"{aspect}_distance", None, 0, missing=typology)
            continue
        found = typology.distance(codes[0], codes[1], aspect)
        missing = "" if found.value is not None else "too few features are known of both languages"
        yield Value(f"{aspect}_distance", found.value, found.num_shared, missing=missing)


def _cka(name: str, first: np.ndarray, second: np.ndarray, weights: str) -> Iterator[Value]:
    num = first.shape[1]
    if num < _MIN_TEXTS:
        yield Value(name, None, num, weights, missing=f"fewer than {_MIN_TEXTS} texts")
        return
    for layer, value in enumerate(representation.cka_by_layer(first, second, debiased=True)):
        yield Value(name, float(value), num, weights, layer)
