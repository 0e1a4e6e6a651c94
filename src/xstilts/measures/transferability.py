"""How well features of an encoder, or labels of another task, would predict a task's labels, without training.

`features` are float [n, d], `labels` any values [n]; of labels only equality counts. More is better.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import optimize


def log_me(features: np.ndarray, labels: np.ndarray) -> float:
    """LogME (You et al. 2021): log maximum evidence per sample of a Bayesian linear regression of each
    label's indicator on the features, mean over labels, nats.

    The evidence is maximised exactly: for each ratio alpha/beta the best beta is known, which leaves one dimension, and
    that is searched. Implementations that iterate the fixed point of You et al. (2022) on the thin SVD do not subtract
    (d - n)/2 ln(alpha) where d > n, and report something else than the evidence there.

    Returns:
        inf where indicators are exact linear functions of fewer than n independent features.
    """
    labels = np.asarray(labels)
    rows = np.asarray(features, dtype=np.float64)
    left, singular, _ = np.linalg.svd(rows, full_matrices=False)
    kept = singular > singular.max() * max(rows.shape) * np.finfo(np.float64).eps
    left, eigenvalues = left[:, kept], singular[kept] ** 2
    return float(np.mean([_evidence(left, eigenvalues, labels == label) for label in np.unique(labels)]))


def h_score(features: np.ndarray, labels: np.ndarray) -> float:
    """H-score (Bao et al. 2019): tr(cov(f)^-1 cov(E[f|y])), from 0 to the number of labels - 1.

    Features that depend linearly on others count once (pseudo-inverse). Near n = d it comes to its maximum whatever the
    features are: use `shrunk_h_score` unless n is many times d.
    """
    _, _, between = _between_classes(features, labels)
    return float(between.sum())


def shrunk_h_score(features: np.ndarray, labels: np.ndarray) -> float:
    """H-score with the covariance shrunk towards a multiple of the identity by a, as Ledoit and Wolf (2004) choose it:
    tr(cov_a(f)^-1 (1 - a) cov(E[f|y])) (Ibrahim et al. 2022).

    The covariance of features divides by n, that of class means by n - 1, as published implementations have it.
    """
    num_samples = len(features)
    centred, variances, between = _between_classes(features, labels)
    num_features = centred.shape[1]
    mean_variance = variances.sum() / num_features
    shrinkage = _ledoit_wolf(centred, variances)
    scaled = (1 - shrinkage) * variances
    ratio = scaled / (scaled + shrinkage * mean_variance)
    return float((ratio * between).sum()) * num_samples / (num_samples - 1)


def leep(source_probabilities: np.ndarray, labels: np.ndarray) -> float:
    """LEEP (Nguyen et al. 2020): mean log-likelihood, nats, of the labels under p(y|z) of the dummy labels z
    that another task's head gives.

    Args:
        source_probabilities: [n, Z], rows sum to 1.
    """
    probabilities = np.asarray(source_probabilities, dtype=np.float64)
    assert np.allclose(probabilities.sum(1), 1, atol=1e-4)
    _, label = np.unique(labels, return_inverse=True)
    joint = np.stack([probabilities[label == c].sum(0) for c in range(label.max() + 1)])
    marginal = joint.sum(0)
    conditional = np.divide(joint, marginal, out=np.zeros_like(joint), where=marginal > 0)
    return float(np.log((probabilities * conditional[label]).sum(1)).mean())


def _evidence(left: np.ndarray, eigenvalues: np.ndarray, indicator: np.ndarray) -> float:
    """Maximum over alpha and beta of ln N(y; 0, I/beta + F F'/alpha) / n.

    With t = alpha/beta and s the eigenvalues of F F', the exponent is beta (y'y - sum of x^2 s/(s + t))/2 for the
    projections x of y: best at beta = n over that difference.
    """
    target = indicator.astype(np.float64)
    num_samples, projections = len(target), (left.T @ target) ** 2
    outside = max(float(target @ target - projections.sum()), 0.0)
    if len(eigenvalues) < num_samples and outside <= 1e-12 * float(target @ target):
        return math.inf

    def loss(log_t: np.ndarray) -> np.ndarray:
        """-ln evidence / n at the best beta, without constants; in the shape of `log_t`."""
        ratio = eigenvalues / np.exp(log_t)[..., None]
        energy = outside + (projections / (1 + ratio)).sum(-1)
        return 0.5 * np.log(energy / num_samples) + 0.5 * np.log1p(ratio).sum(-1) / num_samples

    margin = math.log(num_samples) + 12  # beyond it the evidence is flat: features unused, or fully used
    grid = np.linspace(math.log(eigenvalues.min()) - margin, math.log(eigenvalues.max()) + margin, 400)
    best = int(np.argmin(loss(grid)))
    bracket = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    found = optimize.minimize_scalar(loss, bounds=bracket, method="bounded", options={"xatol": 1e-9})
    return -min(float(found.fun), float(loss(grid[best]))) - 0.5 * math.log(2 * math.pi) - 0.5


def _between_classes(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centred features [n, d], variances along their principal axes [k] (divided by n), and in units of these the
    variances of the class means [k]."""
    rows = np.asarray(features, dtype=np.float64)
    centred = rows - rows.mean(0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    kept = singular > singular.max() * max(rows.shape) * np.finfo(np.float64).eps
    labels = np.asarray(labels)
    masks = [labels == label for label in np.unique(labels)]
    between = sum((left[mask][:, kept].sum(0) ** 2 / mask.sum() for mask in masks), np.zeros(int(kept.sum())))
    return centred, singular[kept] ** 2 / len(rows), between


def _ledoit_wolf(centred: np.ndarray, variances: np.ndarray) -> float:
    """Shrinkage in [0, 1] (Ledoit and Wolf 2004): the squared error of the covariance matrix over its
    squared distance from a multiple of the identity."""
    num_samples, num_features = centred.shape
    squares, total = float((variances**2).sum()), float(variances.sum())
    error = (float(((centred**2).sum(1) ** 2).mean()) - squares) / num_samples
    distance = squares - total**2 / num_features
    return min(1.0, error / distance) if error < distance else 1.0
