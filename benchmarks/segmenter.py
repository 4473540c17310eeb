"""A small U-Net that finds the parts in avatars: the judge of benchmarks/translation.py."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (16, 32, 48)
STEPS, BATCH, PICTURES = 300, 24, 6000


class Segmenter(nn.Module):
    """Pictures [N,3,H,W] in [-1,1] to a score a class and pixel, [N,K,H,W]."""

    def __init__(self, classes: int):
        super().__init__()
        before = (3, *WIDTHS)
        self.down = nn.ModuleList(self._two(before[i], width) for i, width in enumerate(WIDTHS))
        self.up = nn.ModuleList(self._two(WIDTHS[i] + WIDTHS[i + 1], WIDTHS[i]) for i in (1, 0))
        self.output = nn.Conv2d(WIDTHS[0], classes, 1)

    @staticmethod
    def _two(before: int, after: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(),
                             nn.Conv2d(after, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for i, layer in enumerate(self.down):
            x = layer(x if i == 0 else F.max_pool2d(x, 2))
            skips.append(x)
        for layer, skip in zip(self.up, skips[-2::-1], strict=True):
            x = layer(torch.cat([F.interpolate(x, scale_factor=2, mode="nearest"), skip], dim=1))
        return self.output(x)


def trained_segmenter(images: np.ndarray, labels: np.ndarray) -> Callable[[Tensor], Tensor]:
    """A segmenter trained on the first PICTURES of a set: a function of uint8 [N,3,H,W] to labels uint8 [N,H,W]."""
    torch.manual_seed(0)
    net, order = Segmenter(int(labels[:PICTURES].max()) + 1), np.random.default_rng(0)
    optimizer = torch.optim.Adam(net.parameters(), 0.003)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.006, STEPS)
    for _ in range(STEPS):
        rows = np.sort(order.integers(min(PICTURES, len(images)), size=BATCH))
        x = torch.from_numpy(np.array(images[rows])).permute(0, 3, 1, 2).float() / 127.5 - 1
        loss = F.cross_entropy(net(x), torch.from_numpy(np.array(labels[rows])).long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    net.eval()

    @torch.inference_mode()
    def segment(pictures: Tensor) -> Tensor:
        return torch.cat([net(part.float() / 127.5 - 1).argmax(dim=1).to(torch.uint8) for part in pictures.split(100)])

    return segment


def mean_iou(found: Tensor, wanted: Tensor, classes: int) -> float:
    """Intersection over union, over all pictures together, averaged over the classes that are there."""
    shares = []
    for one in range(classes):
        a, b = found == one, wanted == one
        if bool(b.any()):
            shares.append(float((a & b).sum() / (a | b).sum()))
    return float(np.mean(shares))
