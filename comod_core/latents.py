"""Latents: seeds to w, truncation, interpolation, mixing."""
from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from .errors import CoModError

STREAMS = ("z", "dropout", "noise", "views")
SEED_MAX = 2 ** 64 - 1


def generators(seeds: Iterable[int], stream: str = "z") -> list[torch.Generator]:
    """One CPU generator a seed (0 to 2^64 - 1). Streams of one seed are independent of each other.

    Raises CoModError for seeds out of range or an unknown stream.
    """
    if stream not in STREAMS:
        raise CoModError(f"stream {stream!r} is not one of {', '.join(STREAMS)}.")
    return [torch.Generator("cpu").manual_seed(_stream_seed(seed, stream)) for seed in seeds]


def _stream_seed(seed: int, stream: str) -> int:
    if isinstance(seed, bool) or not hasattr(seed, "__index__") or not 0 <= seed.__index__() <= SEED_MAX:
        raise CoModError(f"seed {seed!r} is not a whole number from 0 to 2^64 - 1.")
    digest = hashlib.sha256(f"{stream}:{seed.__index__()}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


@torch.no_grad()
def sample(net, seeds: Sequence[int], label: Tensor | None = None) -> Tensor:
    """One latent a seed: w [N,num_layers,w_dim] on the network's device, float32 where the network is.

    z is drawn on the CPU from each seed's own generator and mapped one at a time, so neither batch size nor order
    changes a bit. label: [label_size] or [N,label_size].
    """
    if not len(seeds):
        raise CoModError("sample: no seeds; give at least one.")
    if not hasattr(net, "num_layers"):
        raise CoModError("sample: this network has no latents a layer (a StyleMapGAN has style maps, a BigGAN chunks "
                         "of z): use a CoModGAN or StyleGAN2.")
    weight = net.w_avg
    labels = [None] * len(seeds)
    if label is not None:
        labels = label.reshape(-1, 1, label.shape[-1]).expand(len(seeds), -1, -1)
    drawn = (torch.randn(1, net.z_dim, generator=g).to(weight.device, weight.dtype) for g in generators(seeds, "z"))
    return torch.cat([net.map(z, row) for z, row in zip(drawn, labels, strict=True)])


def truncate(w: Tensor, w_avg: Tensor, psi: float, cutoff: int | None = None) -> Tensor:
    """Truncation trick: w_avg + psi * (w - w_avg), for all layers or only those below `cutoff`.

    w [N,layers,w_dim]; w_avg [w_dim]; psi 1 leaves w as it is, 0 gives the average (Karras et al. 2019, Appendix B).
    """
    if psi == 1:
        return w
    moved = w_avg + psi * (w - w_avg)
    if cutoff is None or cutoff >= w.shape[1]:
        return moved
    return torch.cat([moved[:, :cutoff], w[:, cutoff:]], dim=1)


def lerp(a: Tensor, b: Tensor, t: float | Tensor) -> Tensor:
    """Straight interpolation, t 0 gives a and 1 gives b. Right for w."""
    return a + (b - a) * t


def slerp(a: Tensor, b: Tensor, t: float | Tensor) -> Tensor:
    """Interpolation along the great circle of the last axis, lengths interpolated straight. Right for z.

    Nearly parallel vectors are interpolated straight (Shoemake 1985).
    """
    length_a, length_b = a.norm(dim=-1, keepdim=True), b.norm(dim=-1, keepdim=True)
    unit_a, unit_b = a / length_a.clamp_min(1e-12), b / length_b.clamp_min(1e-12)
    dot = (unit_a * unit_b).sum(-1, keepdim=True).clamp(-1, 1)
    omega = torch.acos(dot)
    so = torch.sin(omega)
    arc = (torch.sin((1 - t) * omega) * unit_a + torch.sin(t * omega) * unit_b) / so.clamp_min(1e-12)
    return torch.where(so < 1e-4, lerp(a, b, t), arc * lerp(length_a, length_b, t))


def mix(w_a: Tensor, w_b: Tensor, layers: Iterable[int]) -> Tensor:
    """Style mixing: w_a [N,layers,w_dim] with the given layers taken from w_b (Karras et al. 2019, Section 3.1)."""
    layers = list(layers)
    if any(not 0 <= layer < w_a.shape[1] for layer in layers):
        raise CoModError(f"mix: layers {layers} are not all within 0..{w_a.shape[1] - 1}.")
    mixed = w_a.clone()
    mixed[:, layers] = w_b[:, layers]
    return mixed
