"""Fit the mapping of a StyleMapGAN to its encoder: `python -m comod_core.training.mapping MODEL DST --data SET`.

Where a run was too short for its samples to become pictures, or never sampled, the maps of real pictures are there
nevertheless. They are described by their mean and their largest principal components, one a number of z, and the
mapping is set so that it draws from that normal distribution. Nothing else of the network changes.
"""
from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .. import stylemaps
from ..checkpoints.store import load_networks, save_networks
from ..errors import CoModError
from .prepare import load_prepared

PICTURES, ROUNDS = 1000, 4
SLOPE, GAIN = 0.2, math.sqrt(2)     # of the leaky ReLU behind every layer


@torch.no_grad()
def fit_mapping(net, images: Tensor, batch: int = 50) -> float:
    """Set the mapping of a `StyleMapGAN` by pictures [N,3,R,R] in [-1,1]. Returns the share of variance that is kept.

    Raises CoModError for fewer pictures than z has numbers.
    """
    if len(images) <= net.z_dim:
        raise CoModError(f"fit_mapping: {len(images)} pictures; give more than {net.z_dim}, one a number of z.")
    maps = torch.cat([net.encode(part) for part in images.split(batch)]).flatten(1)
    before = torch.where(maps > 0, maps, maps / SLOPE) / GAIN       # the last layer's activation, undone
    mean = before.mean(dim=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        _, values, axes = torch.svd_lowrank(before - mean, net.z_dim, ROUNDS)
    *first, last = net.mapping
    # normalised z is never below minus this, so that all layers but the last are linear
    offset = math.sqrt(net.z_dim) if first else 0.0
    for i, layer in enumerate(first):
        layer.weight.copy_(torch.eye(net.z_dim) / GAIN / layer.scale)
        layer.bias.fill_((offset / GAIN if i == 0 else 0.0) / layer.lr_mul)
    matrix = axes * (values / math.sqrt(len(images) - 1))
    last.weight.copy_(matrix / last.scale)
    last.bias.copy_((mean - matrix.sum(dim=1) * offset) / last.lr_mul)
    net.w_avg.copy_(stylemaps.average(net))
    return float(values.square().sum() / (before - mean).square().sum())


def main() -> None:
    parser = argparse.ArgumentParser(prog="comod_core.training.mapping", description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("destination", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="a prepared set; its pictures for training are used")
    options = parser.parse_args()
    networks, facts = load_networks(options.model)
    chosen = load_prepared(options.data)[0]
    rows = np.linspace(0, len(chosen) - 1, min(PICTURES, len(chosen))).astype(int)
    images = torch.from_numpy(np.stack([chosen[row] for row in rows])).permute(0, 3, 1, 2).float() / 127.5 - 1
    share = fit_mapping(networks["generator"], images)
    own = {key: value for key, value in facts.items() if key not in ("format", "architecture", "config", "networks")}
    note = f"fitted to the encoder's maps of {len(rows)} pictures, {share:.0%} of their variance"
    print(save_networks(options.destination, networks, own | {"mapping": note}), note)


if __name__ == "__main__":
    main()
