"""Adversarial losses: non-saturating logistic, hinge, R1 (Goodfellow et al. 2014; Mescheder et al. 2018)."""
from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def generator_loss(fake_scores: Tensor) -> Tensor:
    """-log sigmoid(D(G(z))), averaged. Scores [N,1] are logits."""
    return F.softplus(-fake_scores).mean()


def discriminator_loss(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """-log sigmoid(D(x)) - log(1 - sigmoid(D(G(z)))), averaged. Scores [N,1] are logits."""
    return F.softplus(-real_scores).mean() + F.softplus(fake_scores).mean()


def generator_hinge(fake_scores: Tensor) -> Tensor:
    """-D(G(z)), averaged: the hinge loss's side of the generator (Lim and Ye 2017, as in BigGAN)."""
    return -fake_scores.mean()


def discriminator_hinge(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """max(0, 1 - D(x)) + max(0, 1 + D(G(z))), averaged."""
    return F.relu(1 - real_scores).mean() + F.relu(1 + fake_scores).mean()


def r1_penalty(score: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """Mean squared norm of the score's gradient at real pictures [N,C,H,W]; multiply by gamma / 2."""
    real = real.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(score(real).sum(), real, create_graph=True)
    return gradient.square().sum(dim=[1, 2, 3]).mean()


def hole_l1(fake: Tensor, real: Tensor, mask: Tensor, area: Tensor | float | None = None) -> Tensor:
    """Absolute difference over hole pixels only, one number a picture; their mean is the mean over the batch's holes.

    fake, real [N,C,H,W]; mask [N,1,H,W], 1 = hole; area: hole pixels of an average picture, that of this batch when
    None. Returns [N].
    """
    area = mask.sum() / len(mask) if area is None else area
    return ((fake - real).abs() * mask).sum(dim=(1, 2, 3)) / (area * real.shape[1]).clamp_min(1)


def best_of(losses: Tensor, samples: int) -> Tensor:
    """Mean over pictures of the least loss among each one's `samples` completions, which lie side by side in [N].

    Only the nearest completion is pulled to the picture, so that the others are free to differ (Bhattacharyya et al.,
    "Accurate and Diverse Sampling of Sequences based on a Best of Many Sample Objective", CVPR 2018).
    """
    return losses.reshape(-1, samples).amin(dim=1).mean()
