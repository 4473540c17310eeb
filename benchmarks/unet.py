"""The plain baseline of completion: a U-Net that takes the masked picture and is trained by L1 alone, in CoMod's loop.

    python benchmarks/unet.py --data SET --out RUN --kimg 500 [--batch 64]

SET is what `comod train` takes; pictures, holes and the number of images are those of the completion recipe, and there
is no discriminator and no randomness. Writes RUN/unet.safetensors, which benchmarks/avatars.py --unet compares.
"""
from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from safetensors.torch import load_file, save_file  # noqa: E402

from comod_core.files import sha256_of  # noqa: E402
from comod_core.networks import CoModConfig  # noqa: E402
from comod_core.training.heldout import FIXED, HeldOut, to_bytes  # noqa: E402
from comod_core.training.holes import HoleSource  # noqa: E402
from comod_core.training.losses import hole_l1  # noqa: E402
from comod_core.training.prepare import load_prepared  # noqa: E402
from comod_core.training.recipes import RECIPES, CompletionConfig, Recipe  # noqa: E402
from comod_core.training.watch import watched  # noqa: E402

WIDTHS = (16, 32, 64, 128, 256, 256)     # at full size, a half, a quarter, ...: about the generator's parameters


class UNet(nn.Module):
    """Masked picture and mask to picture: a convolution a size each way; halved by strides, doubled by repetition."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS):
        super().__init__()
        below = (4, *widths[:-1])
        self.down = nn.ModuleList(_layer(a, b, 1 if i == 0 else 2)
                                  for i, (a, b) in enumerate(zip(below, widths, strict=True)))
        self.up = nn.ModuleList(_layer(a + b, b, 1) for a, b in zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.to_rgb = nn.Conv2d(widths[0], 3, 1)

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """image [N,3,R,R] in [-1,1], mask [N,1,R,R], 1 = hole -> [N,3,R,R]."""
        x, skips = torch.cat([image * (1 - mask), 0.5 - mask], dim=1), []
        for block in self.down:
            x = block(x)
            skips.append(x)
        for block, skip in zip(self.up, skips[-2::-1], strict=True):
            x = block(torch.cat([F.interpolate(x, scale_factor=2.0), skip], dim=1))
        return self.to_rgb(x)


def _layer(before: int, after: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 3, stride, 1), nn.LeakyReLU(0.2))


@dataclasses.dataclass
class Part:
    """real [N,3,R,R] in [-1,1]; holes [N,1,R,R], 1 = hole."""

    real: Tensor
    holes: Tensor


class PlainL1(Recipe):
    """Mean absolute difference over the hole, nothing else."""

    config_type, network_type, recordable = CompletionConfig, CoModConfig, True

    def __init__(self, config: CompletionConfig):
        super().__init__(config)
        self.holes = HoleSource(self.resolution, config.seed, hole_range=config.hole_range,
                                brush_width=config.brush_width, structured=config.structured_masks)

    @staticmethod
    def networks(config: CompletionConfig) -> tuple[nn.Module, nn.Module]:
        return UNet(), nn.Linear(1, 1)      # the loop keeps a discriminator; nothing is asked of this one

    def draw(self, trainer, step: int, rows) -> Part:
        real = trainer.pictures.rows(step, self.config.batch, rows).contiguous(memory_format=torch.channels_last)
        return Part(real, self.holes.rows(step, rows))

    def update(self, trainer, parts) -> dict[str, Tensor]:
        def loss(part: Part) -> tuple[Tensor, dict[str, Tensor]]:
            l1 = hole_l1(trainer.generator(part.real, part.holes), part.real, part.holes).mean()
            return l1, {"L1": l1}

        return trainer.update(trainer.g_optimizer, parts, loss)

    def grid(self, net: UNet, held: HeldOut) -> Tensor:
        images = held.images[:8].to(held.device).float() / 127.5 - 1
        holes = self.holes.rows(FIXED, range(len(images))).to(held.device)
        rows = [images, torch.where(holes > 0, 0.35, images), torch.where(holes > 0, net(images, holes), images)]
        return torch.cat([torch.cat(list(to_bytes(row)), dim=1) for row in rows], dim=2).permute(1, 2, 0).cpu()

    def measure(self, net: UNet, held: HeldOut) -> dict[str, float]:
        images = held.images.to(held.device).float() / 127.5 - 1
        holes = self.holes.rows(FIXED, range(len(images))).to(held.device)
        fills = torch.where(holes > 0, net(images, holes).clamp(-1, 1), images)
        found = {"L1 in the hole": float(((fills - images).abs() * holes).sum() / holes.sum() / 3 * 127.5)}
        return found | held.fd(to_bytes(fills).cpu())


class UNetFiller:
    """The trained U-Net as something to evaluate: see comod_core.evaluation.completers."""

    varies = False

    def __init__(self, path: Path, size: int):
        self.net = UNet().eval()
        self.net.load_state_dict(load_file(path))
        self.name, self.size = "unet-l1", size
        # by its digest features of this file are told from cached ones of another
        self.facts = {"name": self.name, "sha256": sha256_of(path), "architecture": "U-Net, L1",
                      "resolution": size, "dtype": "float32", "device": "cpu"}

    @torch.inference_mode()
    def __call__(self, image: Tensor, mask: Tensor, seeds, psis) -> Tensor:
        """image uint8 [3,R,R], mask [1,1,R,R], 1 = hole -> uint8 [psis,seeds,3,R,R], all alike."""
        fill = to_bytes(self.net(image[None].float() / 127.5 - 1, mask))[0]
        return torch.where(mask[0] > 0.5, fill, image).expand(len(psis), len(seeds), -1, -1, -1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kimg", type=float, default=500.0)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--cuda-graphs", action="store_true", help="record the step on an NVIDIA GPU")
    options = parser.parse_args()
    images, heldout = load_prepared(options.data)
    RECIPES["unet"] = PlainL1
    preset = RECIPES["completion"].preset(images.shape[1], len(images))
    config = dataclasses.replace(preset, recipe="unet", total_kimg=options.kimg, batch=options.batch, adam_beta1=0.9,
                                 augment="none", cuda_graphs=options.cuda_graphs,
                                 learning_rate=0.001, decay_kimg=options.kimg / 3,
                                 brush_width=(4.0, 12.0), hole_range=(0.0, 1.0))
    options.out.mkdir(parents=True, exist_ok=True)
    for progress in watched(config, images, heldout, options.out):
        if progress.step % 500 == 0:
            print(progress.images, progress.losses, round(progress.speed), flush=True)
    weights = torch.load(options.out / "snapshot.pt", map_location="cpu", weights_only=True)["ema"]
    save_file({name: value.contiguous() for name, value in weights.items()}, options.out / "unet.safetensors")


if __name__ == "__main__":
    main()
