"""The model that decides a map anew from a few labels: pure functions on arrays, and NumPy alone.

A building has a vector ``x`` and the probabilities ``p`` that the damage network gave to its four classes. The vectors
of the whole map are standardised and rotated to their main directions ``z`` (principal components), which needs no
labels. The logits of the classes are then

    f(k) = a log p(k) + b(k) + W(k) z

The parameters have Gaussian priors: ``a`` around 1, ``b`` and ``W`` around 0. So without labels the model is the
network, and each label moves it as far as the labels around it agree. Rows of ``W`` are correlated as the classes are
ordered: what speaks for major damage speaks somewhat for destruction too. The posterior mode is found by Newton's
method; the deviation of ``W``, which says how much the vectors are trusted, is the one with the best likelihood of each
label given the others, computed without fitting again (Rad and Maleki 2020, "A scalable estimate of the out-of-sample
prediction error via approximate leave-one-out cross-validation"). A Gaussian process with this covariance is the same
model (Rasmussen and Williams 2006, "Gaussian Processes for Machine Learning", 3.5).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from siamese.classes import DAMAGE_CLASSES
from siamese.errors import SiameseError
from siamese.params import AdaptationParams

Floats = npt.NDArray[np.float64]
CLASSES: Final = len(DAMAGE_CLASSES)
_TINY: Final = 1e-4
"""Least probability of the network that is believed: a label must be able to overrule it."""
_FITTED_ROWS: Final = 8192
"""Buildings that means, deviations and directions are computed from; of more, evenly spread ones."""
_STEPS: Final = 50
_CONVERGED: Final = 1e-8
_CERTAIN: Final = 1e-9
_TURNS: Final = 4
_TRIED: Final = 10
_GAIN: Final = 1e-6
_LONE: Final = 0.25
"""How much less a class may move for the whole map where labels are of one class alone."""


@dataclass(frozen=True)
class Adapted:
    """A map decided anew.

    Attributes:
        probabilities: ``(n, 4)`` float64 of each building; those of a labelled one are 1 for its class.
        strength: The deviation of ``W`` that the labels chose.
        surprise: Mean negative log-likelihood of each label given the others.
    """

    probabilities: Floats
    strength: float
    surprise: float


def directions(vectors: npt.NDArray[np.float32], components: int, flatten: float = 0.5) -> Floats:
    """Returns the vectors along the main directions of their standardised elements.

    Args:
        vectors: ``(n, d)`` float32, finite.
        components: At most so many directions.
        flatten: Exponent by which the directions' deviations are evened out: 0 keeps them, 1 makes all equal.

    Returns:
        ``(n, k)`` float64 with mean 0 and a mean squared length of 1.

    Raises:
        SiameseError: A vector is not finite.
    """
    n = len(vectors)
    if not np.isfinite(vectors).all():
        bad = int((~np.isfinite(vectors).all(axis=1)).sum())
        fix = "make the index again: `siamese similarity embed`"
        raise SiameseError(f"{bad} of {n} vectors hold NaN or infinity", where="vectors", fix=fix)
    some = np.asarray(vectors[:: max(1, -(-n // _FITTED_ROWS))], np.float64)
    mean, deviation = some.mean(axis=0), some.std(axis=0)
    varied = deviation > 1e-9 * max(1.0, float(np.abs(some).max(initial=0)))
    if n < 2 or not varied.any():
        return np.zeros((n, 1))
    standard = (some[:, varied] - mean[varied]) / deviation[varied]
    values, axes = np.linalg.eigh(standard.T @ standard / len(standard))
    kept = np.argsort(values)[::-1][: min(components, len(some) - 1)]
    kept = kept[values[kept] > 1e-6 * values.max()]
    # The sign of an axis is arbitrary; its largest element positive makes it the same on every machine.
    signs = np.sign(axes[np.abs(axes[:, kept]).argmax(axis=0), kept])
    turned = axes[:, kept] * signs * values[kept] ** (-flatten / 2)
    scale = 1 / np.sqrt((values[kept] ** (1 - flatten)).sum())
    turn = (turned * scale / deviation[varied][:, None]).astype(np.float32)
    placed = vectors[:, varied] @ turn - (mean[varied] @ turn)
    return np.asarray(placed, np.float64)


def adapt(
    vectors: npt.NDArray[np.float32],
    prior: npt.NDArray[np.floating],
    labels: Mapping[int, int],
    settings: AdaptationParams | None = None,
) -> Adapted:
    """Decides the class of each building from vectors, the network's probabilities and a few labels.

    Args:
        vectors: ``(n, d)`` float32.
        prior: ``(n, 4)`` probabilities of the network.
        labels: Class (0..3) of some buildings by position.
        settings: Strengths.

    Raises:
        SiameseError: A vector is not finite, or there is no label.
    """
    return adapt_along(directions_of(vectors, settings), prior, labels, settings)


def directions_of(vectors: npt.NDArray[np.float32], settings: AdaptationParams | None = None) -> Floats:
    """Returns :func:`directions` with the number and weights of the settings."""
    settings = settings or AdaptationParams()
    return directions(vectors, settings.components, settings.flatten)


def adapt_along(
    along: Floats, prior: npt.NDArray[np.floating], labels: Mapping[int, int], settings: AdaptationParams | None = None
) -> Adapted:
    """Does the same from vectors that :func:`directions_of` turned already."""
    settings = settings or AdaptationParams()
    if not labels:
        raise SiameseError("there is no label", where="labels", fix="label some buildings; `siamese select` picks them")
    places = np.fromiter(sorted(labels), np.int64)
    truth = np.eye(CLASSES)[[labels[int(place)] for place in places]]
    logs = log_prior(prior)
    if (truth == truth[0]).all():  # one class alone does not show how far it reaches: only what is much alike moves
        settings = settings.model_copy(update={"strengths": settings.strengths[:1], "shift": _LONE * settings.shift})
    fits = [_fit(along[places], logs[places], truth, strength, settings) for strength in settings.strengths]
    best = min(fits, key=lambda fit: fit.surprise)
    probabilities = softmax(logs * (1 + best.trust) + best.shift + along @ best.weights.T)
    probabilities[places] = truth
    return Adapted(probabilities, best.strength, best.surprise)


def log_prior(prior: npt.NDArray[np.floating]) -> Floats:
    """Returns log-probabilities of the network, none of them too sure for a label to overrule it.

    A building without probabilities (not finite, or all 0) gets equal ones.
    """
    found = np.asarray(prior, np.float64)
    bad = ~np.isfinite(found).all(axis=1) | (found.sum(axis=1) <= 0)
    found = np.where(bad[:, None], 1 / CLASSES, found)
    found = np.clip(found / found.sum(axis=1, keepdims=True), _TINY, None)
    return np.asarray(np.log(found / found.sum(axis=1, keepdims=True)))


def softmax(logits: Floats) -> Floats:
    """Returns probabilities ``(n, 4)``."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def class_covariance(order: float) -> Floats:
    """Returns the prior covariance ``(4, 4)`` of the classes' weights: 1 each, correlated along their order."""
    severity = np.arange(CLASSES) - (CLASSES - 1) / 2
    severity = severity / np.sqrt((severity**2).mean())
    return np.asarray((1 - order) * np.eye(CLASSES) + order * np.outer(severity, severity))


@dataclass(frozen=True)
class _Fit:
    """Parameters of the model: ``a - 1``, ``b (4,)``, ``W (4, k)``."""

    trust: float
    shift: Floats
    weights: Floats
    strength: float
    surprise: float


def _fit(along: Floats, logs: Floats, truth: Floats, strength: float, settings: AdaptationParams) -> _Fit:
    """Finds the posterior mode, in parameters scaled so that the prior of each is a standard normal."""
    m, count = along.shape
    root = np.linalg.cholesky(class_covariance(settings.order) + 1e-9 * np.eye(CLASSES))
    # Logits of label i change by design[i] @ parameters: the weights first, then the shifts, then the trust.
    weights = strength * np.einsum("ik,cl->iclk", along, root).reshape(m, CLASSES, CLASSES * count)
    shifts = np.broadcast_to(settings.shift * np.eye(CLASSES), (m, CLASSES, CLASSES))
    design = np.concatenate([weights, shifts, settings.trust * logs[:, :, None]], axis=2)
    found, logits, posterior = _mode(design, logs, truth)
    return _Fit(
        trust=float(settings.trust * found[-1]),
        shift=settings.shift * found[-1 - CLASSES : -1],
        weights=strength * root @ found[: CLASSES * count].reshape(CLASSES, count),
        strength=strength,
        surprise=_surprise(design, posterior, logits, truth),
    )


def _mode(design: Floats, offset: Floats, truth: Floats) -> tuple[Floats, Floats, Floats]:
    """Returns the parameters at the mode, the logits there ``(m, 4)``, and the posterior covariance."""
    size = design.shape[2]
    found, value = np.zeros(size), -np.inf
    for _ in range(_STEPS):
        logits = offset + design @ found
        gradient = np.einsum("icd,ic->d", design, truth - softmax(logits)) - found
        move = np.linalg.solve(_precision(design, logits), gradient)
        step, now = 1.0, value
        while step > 1e-4:
            trial = found + step * move
            now = _log_posterior(offset + design @ trial, truth, trial)
            if now >= value:
                break
            step /= 2
        gained, value = now - value, max(now, value)
        if gained < 0:
            break
        found = trial
        if gained < _CONVERGED:
            break
    logits = offset + design @ found
    return found, logits, np.asarray(np.linalg.inv(_precision(design, logits)), np.float64)


def _precision(design: Floats, logits: Floats) -> Floats:
    """Returns the negative Hessian of the log-posterior."""
    curved = _curvature(logits) @ design
    size = design.shape[2]
    return np.eye(size) + design.reshape(-1, size).T @ curved.reshape(-1, size)


def _curvature(logits: Floats) -> Floats:
    """Returns the negative second derivatives ``(m, 4, 4)`` of each label's log-likelihood by its logits."""
    p = softmax(logits)
    return np.asarray(p[:, :, None] * np.eye(CLASSES) - p[:, :, None] * p[:, None, :])


def _log_posterior(logits: Floats, truth: Floats, parameters: Floats) -> float:
    return float((truth * (logits - _log_sum(logits))).sum() - 0.5 * parameters @ parameters)


def _log_sum(logits: Floats) -> Floats:
    top = logits.max(axis=1, keepdims=True)
    return np.asarray(top + np.log(np.exp(logits - top).sum(axis=1, keepdims=True)))


def _surprise(design: Floats, posterior: Floats, logits: Floats, truth: Floats) -> float:
    """Returns the mean surprise at each label given all others, by one Newton step from the common mode."""
    spread = design @ posterior @ design.transpose(0, 2, 1)
    gradient = (softmax(logits) - truth)[:, :, None]
    moved = np.linalg.solve(np.eye(CLASSES) - spread @ _curvature(logits), spread @ gradient)
    alone = logits + moved[:, :, 0]
    return float((_log_sum(alone)[:, 0] - (truth * alone).sum(axis=1)).mean())


def decide_classes(probabilities: Floats, settings: AdaptationParams | None = None) -> npt.NDArray[np.int64]:
    """Returns the class of each building, so that the expected mean F1 of the classes is best.

    The likeliest class alone would leave rare classes without a building wherever probabilities are honest. So each
    damaged class has a weight, found by trying some in turn, by which expected F1, 2 hits / (found + there), is best
    when probabilities are taken at their word (Lipton et al. 2014, "Optimal thresholding of classifiers to maximize F1
    measure"). A labelled building, whose probabilities are 0 and 1, keeps its class whatever the weights.

    Args:
        probabilities: ``(n, 4)``.
        settings: ``rare`` is the largest weight.
    """
    settings = settings or AdaptationParams()
    logs = np.log(np.clip(probabilities, _CERTAIN, None))
    return np.asarray((logs + np.log(vote_weights(probabilities, settings.rare))).argmax(axis=1), np.int64)


def vote_weights(probabilities: Floats, most: float) -> Floats:
    """Returns the weight ``(4,)`` of each class, 1 to ``most``, by which the expected mean F1 is best."""
    some = probabilities[:: max(1, -(-len(probabilities) // _FITTED_ROWS))]
    logs = np.log(np.clip(some, _CERTAIN, None))
    there = some.sum(axis=0)
    weights = np.zeros(CLASSES)
    best = _expected_f1(some, logs, there, weights)
    for _ in range(_TURNS):
        before = best
        for number in range(1, CLASSES):
            for weight in np.linspace(0, np.log(most), _TRIED):
                trial = weights.copy()
                trial[number] = weight
                found = _expected_f1(some, logs, there, trial)
                if found > best + _GAIN:
                    best, weights = found, trial
        if best == before:
            break
    return np.asarray(np.exp(weights))


def _expected_f1(probabilities: Floats, logs: Floats, there: Floats, weights: Floats) -> float:
    found = (logs + weights).argmax(axis=1)
    hits = np.bincount(found, probabilities[np.arange(len(found)), found], CLASSES)
    count = np.bincount(found, minlength=CLASSES)
    return float((2 * hits / np.maximum(there + count, _CERTAIN)).mean())
