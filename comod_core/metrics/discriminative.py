"""P-IDS and U-IDS: how well a linear SVM tells completions from real pictures (Zhao et al., ICLR 2021, Section 4).

The published protocol: Inception v3 features of N pictures and of their N completions, N = 10,000 (FFHQ) or 36,500
(Places2). Both numbers rise with N. With few rows for the width of the features any two sets can be separated, and both
are 0 whatever the quality.
"""
from __future__ import annotations

import logging

import numpy as np

from ..errors import CoModError
from .arrays import feature_arrays

PROTOCOL_PAIRS = 10_000
log = logging.getLogger("comod")


def pids(real: np.ndarray, fake: np.ndarray) -> float:
    """Share of pairs whose fake lies further on the real side than its own real picture; 0.5 at best, 0 at worst.

    real, fake [N,D]: features of picture i and of its completion in row i. Warns below PROTOCOL_PAIRS.
    """
    return _warned(real, fake)[0]


def uids(real: np.ndarray, fake: np.ndarray) -> float:
    """Share of rows on the wrong side, 1 - accuracy; 0.5 at best, 0 at worst. Arguments as `pids`."""
    return _warned(real, fake)[1]


def discriminative_scores(real: np.ndarray, fake: np.ndarray) -> tuple[float, float]:
    """(P-IDS, U-IDS) from one linear SVM, fitted and scored on the same 2N rows; see `pids`. No warning.

    The SVM is scikit-learn's LinearSVC(dual=False): squared hinge loss, L2 penalty, C 1, features as they are.
    Raises CoModError for features that do not fit, or when scikit-learn is missing.
    """
    real, fake = feature_arrays("P-IDS and U-IDS", real, fake, least=1, paired=True)
    try:
        from sklearn.svm import LinearSVC
    except ImportError as error:
        raise CoModError("P-IDS and U-IDS need scikit-learn: pip install scikit-learn") from error
    rows, is_real = np.concatenate([real, fake]), np.repeat([1, 0], len(real))
    svm = LinearSVC(dual=False).fit(rows, is_real)
    paired = svm.decision_function(fake) > svm.decision_function(real)
    return float(paired.mean()), float(1 - svm.score(rows, is_real))


def few_pairs(count: int, width: int) -> str | None:
    """The warning for P-IDS and U-IDS from so many pairs of so many features; None from PROTOCOL_PAIRS on."""
    if count >= PROTOCOL_PAIRS:
        return None
    text = (f"P-IDS and U-IDS from {count:,} pairs: the published protocol has {PROTOCOL_PAIRS:,} (FFHQ) or more. Both "
            "rise with the number of pairs, so compare only numbers of equal count.")
    if count < width:   # Cover 1965: 2N points in general position can be split any way where N is below the width
        text += f" So few pairs of {width:,} features can be told apart whatever the quality: expect 0."
    return text


def _warned(real: np.ndarray, fake: np.ndarray) -> tuple[float, float]:
    found = discriminative_scores(real, fake)
    if warning := few_pairs(*np.shape(real)):
        log.warning(warning)
    return found
