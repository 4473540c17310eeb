"""Augmentation of what the discriminator sees, differentiable, for small sets of pictures.

"diffaugment": colour, translation and cutout (Zhao et al., "Differentiable Augmentation for Data-Efficient GAN
Training", 2020). "ada": flips, turns, scales, shifts and colour with a probability that follows the discriminator's
overfitting (Karras et al., "Training Generative Adversarial Networks with Limited Data", 2020, Appendix B), resampled
bilinearly where the paper has a wavelet filter. Pictures and their masks move together.
"""
from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


class Augment:
    """What `TrainConfig.augment` names. Attributes: p, the probability of each change; 1 but for "ada"."""

    interval = 4        # steps between two adjustments of p

    def __init__(self, kind: str = "none", target: float = 0.6, kimg: float = 500.0):
        self.kind, self.target, self.kimg = kind, target, kimg
        self.p = 0.0 if kind == "ada" else 1.0
        self._signs: list[Tensor] = []

    def __call__(self, image: Tensor, mask: Tensor, seeds: Sequence[int], phase: int) -> tuple[Tensor, Tensor]:
        """image [N,3,H,W] in [-1,1] and mask or condition [N,C,H,W] (C may be 0), moved alike.

        One seed a sample; phase tells its uses apart.
        """
        if self.kind == "none":
            return image, mask
        draws = np.stack([np.random.default_rng((seed, 4, phase)).random(32) for seed in seeds])
        u = torch.from_numpy(draws).to(image.device, image.dtype).unbind(dim=1)
        if self.kind == "diffaugment":
            return diffaugment(image, mask, u)
        return adaptive(image, mask, u, self.p)

    def watch(self, real_scores: Tensor) -> None:
        """Note the discriminator's scores of real pictures."""
        if self.kind == "ada":
            self._signs.append(real_scores.detach().sign().mean())

    def adjust(self, mean, images: int) -> None:
        """Move p by what was watched over `images` images: r_t = E[sign(D(real))], Equation 1. mean: over processes."""
        if self.kind == "ada" and self._signs:
            r = float(mean(torch.stack(self._signs).mean()))
            self.p = min(max(self.p + math.copysign(images / (self.kimg * 1000), r - self.target), 0.0), 1.0)
            self._signs.clear()


def diffaugment(image: Tensor, mask: Tensor, u: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Colour, translation by up to an eighth and a cutout of half a side. u: 32 draws in [0,1), each [N]."""
    n, _, h, w = image.shape
    u = [x.view(n, 1, 1, 1) for x in u]
    image = image + (u[0] - 0.5)
    grey = image.mean(dim=1, keepdim=True)
    image = (image - grey) * (u[1] * 2) + grey
    middle = image.mean(dim=(1, 2, 3), keepdim=True)
    image = (image - middle) * (u[2] + 0.5) + middle
    pixels = torch.cat([image, mask], dim=1)
    pixels = _shift(pixels, ((u[3] * 2 - 1) * h / 8).round(), ((u[4] * 2 - 1) * w / 8).round())
    y, x = _coordinates(h, w, image)
    inside = ((y - u[5] * h).abs() <= h / 4) & ((x - u[6] * w).abs() <= w / 4)
    pixels = torch.where(inside, 0, pixels)
    return pixels[:, :image.shape[1]], pixels[:, image.shape[1]:]


def _coordinates(h: int, w: int, like: Tensor) -> tuple[Tensor, Tensor]:
    y = torch.arange(h, device=like.device, dtype=like.dtype).view(1, 1, h, 1)
    return y, torch.arange(w, device=like.device, dtype=like.dtype).view(1, 1, 1, w)


def _shift(pixels: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Move each sample by whole pixels; zeros come in."""
    n, c, h, w = pixels.shape
    y, x = _coordinates(h, w, pixels)
    rows, columns = (y - down).long().expand(n, 1, h, w), (x - right).long().expand(n, 1, h, w)
    inside = (rows >= 0) & (rows < h) & (columns >= 0) & (columns < w)
    flat = (rows.clamp(0, h - 1) * w + columns.clamp(0, w - 1)).expand(n, c, h, w).reshape(n, c, h * w)
    return torch.where(inside, pixels.reshape(n, c, h * w).gather(2, flat).view(n, c, h, w), 0)


def adaptive(image: Tensor, mask: Tensor, u: Sequence[Tensor], p: float) -> tuple[Tensor, Tensor]:
    """The blitting, geometric and colour changes of ADA, each with probability p. u: 32 draws in [0,1), each [N]."""
    if p == 0:
        return image, mask
    pixels = torch.cat([image, mask], dim=1)
    grid = F.affine_grid(_geometry(u, p)[:, :2], list(pixels.shape), align_corners=False)
    pixels = F.grid_sample(pixels, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    image, mask = pixels[:, :image.shape[1]], pixels[:, image.shape[1]:]
    if image.shape[1] == 3:
        colour = _colour(u, p)
        image = torch.einsum("nij,njhw->nihw", colour[:, :3, :3], image) + colour[:, :3, 3, None, None]
    return image, mask


def _normal(a: Tensor, b: Tensor) -> Tensor:
    """Box-Muller: two uniform draws to a normal one."""
    return (-2 * (1 - a).log()).sqrt() * (2 * math.pi * b).cos()


def _matrix(rows: Sequence[Sequence[Tensor | float]], like: Tensor) -> Tensor:
    return torch.stack([torch.stack([torch.as_tensor(x).to(like).expand(like.shape) for x in row], -1)
                        for row in rows], -2)


def _geometry(u: Sequence[Tensor], p: float) -> Tensor:
    """Where each pixel is fetched from: [N,3,3] in coordinates from -1 to 1."""
    like, zero, one = u[0], torch.zeros_like(u[0]), torch.ones_like(u[0])

    def chosen(value: Tensor, draw: Tensor, otherwise: Tensor, chance: float = p) -> Tensor:
        return torch.where(draw < chance, value, otherwise)

    def scale(x: Tensor, y: Tensor) -> Tensor:
        return _matrix([[x, 0, 0], [0, y, 0], [0, 0, 1]], like)

    def turn(angle: Tensor) -> Tensor:
        return _matrix([[angle.cos(), -angle.sin(), 0], [angle.sin(), angle.cos(), 0], [0, 0, 1]], like)

    def shift(x: Tensor, y: Tensor) -> Tensor:
        return _matrix([[1, 0, x], [0, 1, y], [0, 0, 1]], like)

    # pixel blitting: mirror, quarter turns, shifts by up to an eighth
    m = scale(chosen((u[1] < 0.5) * 2.0 - 1, u[0], one), one)
    m = m @ turn(chosen((u[3] * 4).floor() * (math.pi / 2), u[2], zero))
    m = m @ shift(chosen((u[5] * 2 - 1) / 4, u[4], zero), chosen((u[6] * 2 - 1) / 4, u[4], zero))
    # general geometry: isotropic scale, turn, anisotropic scale, turn, fractional shift
    turned = 1 - math.sqrt(1 - p)
    s = chosen(torch.exp2(0.2 * _normal(u[8], u[9])), u[7], one)
    m = m @ scale(s, s) @ turn(chosen((u[11] * 2 - 1) * math.pi, u[10], zero, turned))
    s = chosen(torch.exp2(0.2 * _normal(u[13], u[14])), u[12], one)
    m = m @ scale(s, 1 / s) @ turn(chosen((u[16] * 2 - 1) * math.pi, u[15], zero, turned))
    by = [chosen(0.25 * _normal(u[i], u[i + 1]), u[17], zero) for i in (18, 20)]
    return m @ shift(*by)


def _colour(u: Sequence[Tensor], p: float) -> Tensor:
    """Brightness, contrast, luma flip, hue and saturation as [N,4,4] on (r, g, b, 1)."""
    like, zero, one = u[0], torch.zeros_like(u[0]), torch.ones_like(u[0])
    identity = torch.eye(4, device=like.device, dtype=like.dtype)
    axis = torch.tensor([1 / math.sqrt(3)] * 3 + [0], device=like.device, dtype=like.dtype)
    along = torch.outer(axis, axis)
    b = torch.where(u[22] < p, 0.2 * _normal(u[23], u[24]), zero)
    m = _matrix([[1, 0, 0, b], [0, 1, 0, b], [0, 0, 1, b], [0, 0, 0, 1]], like)
    c = torch.where(u[25] < p, torch.exp2(0.5 * _normal(u[26], u[27])), one)
    m = _matrix([[c, 0, 0, 0], [0, c, 0, 0], [0, 0, c, 0], [0, 0, 0, 1]], like) @ m
    flip = torch.where(u[28] < p / 2, one, zero)[:, None, None]
    m = (identity - 2 * flip * along) @ m
    angle = torch.where(u[29] < p, (u[30] * 2 - 1) * math.pi, zero)[:, None, None]
    k = 1 / math.sqrt(3)
    cross = torch.tensor([[0, -k, k, 0], [k, 0, -k, 0], [-k, k, 0, 0], [0, 0, 0, 0]], device=like.device,
                         dtype=like.dtype)
    last = torch.diag(torch.tensor([0, 0, 0, 1.0], device=like.device, dtype=like.dtype))
    # Rodrigues' rotation about the grey axis
    m = (angle.cos() * (identity - last - along) + angle.sin() * cross + along + last) @ m
    s = torch.where(u[31] < p, torch.exp2(2 * u[31] / max(p, 1e-6) - 1), one)[:, None, None]
    return (along + last + (identity - last - along) * s) @ m
