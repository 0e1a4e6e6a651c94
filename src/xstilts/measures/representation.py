"""How near two sets of embeddings are. Arrays are [items, width]; sums run in float64."""

from __future__ import annotations

import numpy as np


def mean_embedding_cosine(first: np.ndarray, second: np.ndarray) -> float:
    """Cosine of the mean embeddings of two text collections (TextEmb of Vu et al. 2020)."""
    return _cosine(_float64(first).mean(0), _float64(second).mean(0))


def centroid_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Distance of two collections' means, in units of the root mean squared distance of a text from its own mean.

    For texts that need not be parallel: what of a language's place is left in its representations (the centroids of
    Libovicky et al. 2020). Without unit, so that layers and stages of training can be compared: rotation, shift and
    isotropic scaling of the space leave it.
    """
    first, second = _float64(first), _float64(second)
    spread = (first.var(0).sum() + second.var(0).sum()) / 2
    assert spread > 0, "all embeddings are the same"
    return float(np.linalg.norm(first.mean(0) - second.mean(0)) / np.sqrt(spread))


def linear_cka(first: np.ndarray, second: np.ndarray, *, debiased: bool) -> float:
    """Linear centred kernel alignment (Kornblith et al. 2019, section 3) of two representations of the same items.

    Row i of both must be the same item: one text before and after a stage, or a sentence and its translation. Of texts
    that are not parallel it says nothing. The plain estimate rises to 1 for unrelated representations as the width
    outgrows the number of items; the debiased one uses the unbiased HSIC (Song et al. 2012; Nguyen et al. 2021,
    equation 3), is near 0 for them, and can fall below.

    Args:
        first, second: [n, p] and [n, q]; n at least 4 if debiased, else 2.
    """
    assert len(first) == len(second) >= (4 if debiased else 2)
    centre = _u_centre if debiased else _centre
    return _cosine(centre(_gram(first)), centre(_gram(second)))


def cka_by_layer(first: np.ndarray, second: np.ndarray, *, debiased: bool) -> np.ndarray:
    """Linear CKA of each layer with the same layer: float64 [layers] from two arrays [layers, n, width]."""
    assert len(first) == len(second)
    return np.array([linear_cka(x, y, debiased=debiased) for x, y in zip(first, second, strict=True)])


def _gram(rows: np.ndarray) -> np.ndarray:
    """[n, n]. Rows are centred first, which neither centring below can see: no digits are lost to a large mean."""
    centred = _float64(rows) - _float64(rows).mean(0)
    return centred @ centred.T


def _centre(gram: np.ndarray) -> np.ndarray:
    """H K H: the inner product of two such matrices is HSIC up to a factor."""
    return gram - gram.mean(0) - gram.mean(1)[:, None] + gram.mean()


def _u_centre(gram: np.ndarray) -> np.ndarray:
    """U-centring (Szekely and Rizzo 2014): the inner product of two such matrices is the unbiased HSIC up
    to a factor."""
    n = len(gram)
    off = gram - np.diag(np.diag(gram))
    sums = off.sum(0)
    centred = off - sums / (n - 2) - sums[:, None] / (n - 2) + off.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(centred, 0.0)
    return centred


def _cosine(x: np.ndarray, y: np.ndarray) -> float:
    norms = np.linalg.norm(x) * np.linalg.norm(y)
    assert norms > 0, "a representation is constant"
    return float((x * y).sum() / norms)


def _float64(array: np.ndarray) -> np.ndarray:
    return np.asarray(array, dtype=np.float64)
