"""Large hole completion with co-modulated GANs (Zhao et al., ICLR 2021): the settings and the losses of one step."""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ... import latents
from ...errors import CoModError
from ...metrics import l1
from ...networks import CoModConfig, CoModDiscriminator, CoModGenerator
from ..codes import EXAMPLES, HoleCodes, listen
from ..config import TrainConfig
from ..grids import completion_grid
from ..heldout import FIXED, GRID_ROWS, GRID_SEEDS, HeldOut, to_bytes
from ..holes import HoleSource
from ..losses import best_of, discriminator_hinge, discriminator_loss, generator_hinge, generator_loss, hole_l1
from ..perceptual import PerceptualDistance
from ..presets import NARROW, augmentation
from ..projected import ProjectedDiscriminator, check_critic, judged
from ..trainer import Trainer
from .base import Recipe


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompletionConfig(TrainConfig):
    """Settings of `Completion`.

    l1_weight: of the mean absolute difference over the hole, reached from l1_warmup_weight over l1_warmup_kimg. The
    first l1_only_kimg are trained without the discriminator. perceptual_weight: of `PerceptualDistance`.
    samples_per_hole: completions of one hole in a batch. Of both differences to the picture, nearest_share counts for
    the nearest completion alone and the rest for all.
    diversity_weight: of the perceptual distance between two completions of one hole, which is rewarded as far as
    diversity_limit (Yang et al., "Diversity-Sensitive Conditional GANs", 2019; theirs is a distance of pixels).
    guided: so many values of z say what is in the hole beyond what its surroundings tell (`HoleCodes`), so that the
    differences to the picture teach what z is for, and a random z contradicts no surroundings. 0 for none. Of
    samples_per_hole completions the first is guided and compared with the picture, the others have a random z and only
    the discriminator to please. Not of the publication; Zhu et al., "Toward Multimodal Image-to-Image Translation",
    2017, learn such codes.
    critic: "pictures", the published discriminator, or "features", `ProjectedDiscriminator` with the hinge loss and
    without R1; adversarial_weight: of the generator's loss by it.
    hole_range: hole ratios of the free-form masks; brush_width: of their strokes in pixels, None for the paper's scaled
    to the resolution. structured_masks: share of rectangles and halves. mask_folder: masks to use in place of all that.
    """

    recipe: str = "completion"
    network: CoModConfig = dataclasses.field(default_factory=CoModConfig)
    l1_weight: float = 0.0
    l1_warmup_weight: float = 0.0
    l1_warmup_kimg: float = 0.0
    l1_only_kimg: float = 0.0
    perceptual_weight: float = 0.0
    samples_per_hole: int = 1
    nearest_share: float = 1.0
    diversity_weight: float = 0.0
    diversity_limit: float = 0.2
    guided: int = 0
    critic: str = "pictures"
    adversarial_weight: float = 1.0
    noise_mode: str = "random"
    style_mixing: float = 0.5
    hole_range: tuple[float, float] = (0.0, 1.0)
    brush_width: tuple[float, float] | None = None
    structured_masks: float = 0.0
    mask_folder: str | None = None

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.hole_range[0] < self.hole_range[1] <= 1:
            raise CoModError(f"Training: hole_range {list(self.hole_range)} must rise within [0,1].")
        check_critic(self)
        if self.samples_per_hole < 1 or self.batch % self.samples_per_hole:
            raise CoModError("Training: samples_per_hole must divide the batch.")
        if self.diversity_weight and (self.samples_per_hole != 2 or not self.perceptual_weight):
            raise CoModError("Training: diversity_weight needs samples_per_hole 2 and a perceptual_weight.")
        if not 0 <= self.guided <= self.network.z_dim or (self.guided and self.network.image_channels != 3):
            raise CoModError(f"Training: guided lies from 0 to z_dim {self.network.z_dim} and is for colour pictures.")


@dataclasses.dataclass
class Part:
    """What one process sees of a batch at a time: pictures to score as real and holes to complete, with their draws.

    real, wanted [N,C,R,R] in [-1,1]; mask, holes [N,1,R,R], 1 = hole; z [2,N,z_dim], the second for style mixing from
    the layers `cuts` [N] on; one seed a sample.
    """

    real: Tensor
    mask: Tensor
    wanted: Tensor
    holes: Tensor
    z: Tensor
    cuts: Tensor
    seeds: list[int]
    fake: Tensor | None = None
    w: Tensor | None = None


class Completion(Recipe):
    """Co-modulated generator and its discriminator on mask and picture."""

    config_type, network_type, recordable = CompletionConfig, CoModConfig, True

    def __init__(self, config: CompletionConfig):
        super().__init__(config)
        self.holes = HoleSource(config.network.resolution, config.seed, hole_range=config.hole_range,
                                brush_width=config.brush_width, structured=config.structured_masks,
                                folder=config.mask_folder)
        self.on_features = config.critic == "features"
        self.perceptual: nn.Module | None = PerceptualDistance() if config.perceptual_weight else None
        self.codes: HoleCodes | None = None

    @staticmethod
    def networks(config: CompletionConfig) -> tuple[nn.Module, nn.Module]:
        """Generator and discriminator of these settings, with fresh weights."""
        if config.critic == "features":
            return CoModGenerator(config.network), ProjectedDiscriminator(config.network.resolution)
        return CoModGenerator(config.network), CoModDiscriminator(config.network)

    @classmethod
    def preset(cls, size: int, pictures: int, *, paper: bool = False) -> CompletionConfig:
        """Settings to begin with. The small ones reconstruct at first (L1 and perceptual), so that the layout stands
        before the discriminator has a say."""
        if paper:
            return CompletionConfig(network=CoModConfig(resolution=size), augment=augmentation(pictures, "ada"))
        network = CoModConfig(resolution=size, fmap_base=16 * size, **NARROW)
        return CompletionConfig(
            network=network, total_kimg=200.0, batch=16, r1_gamma=1.0, l1_only_kimg=30.0, l1_warmup_weight=12.0,
            l1_weight=4.0, l1_warmup_kimg=60.0, perceptual_weight=8.0, samples_per_hole=2, noise_mode="none",
            ema_kimg=5.0, hole_range=(0.0, 0.75), structured_masks=0.5,
            augment=augmentation(pictures))

    def initialise(self, generator: CoModGenerator) -> None:
        """Let the mapping hear the guided values of z, which the others would drown."""
        if self.config.guided:
            listen(generator.mapping.dense0.weight, self.config.guided)

    def begin(self, trainer: Trainer) -> None:
        """Find what the codes of holes are."""
        if self.config.guided:
            examples = self.holes.rows(FIXED, range(EXAMPLES))
            self.codes = HoleCodes(trainer.pictures.images, self.config.guided, examples)

    # ---- what a step sees ---------------------------------------------------------------------
    def draw(self, trainer: Trainer, step: int, rows: Sequence[int]) -> Part:
        k, net = self.config.samples_per_hole, trainer.generator
        real = trainer.pictures.rows(step, self.config.batch, rows).contiguous(memory_format=torch.channels_last)
        mask = self.holes.rows(step, rows)
        # neighbours share a hole; the groups of minibatch_std are strided, so no group sees one picture twice
        wanted, holes = ((x[:len(x) // k].repeat_interleave(k, dim=0) if k > 1 else x) for x in (real, mask))
        seeds = [int(np.random.default_rng((self.config.seed, 3, step, row)).integers(2 ** 63)) for row in rows]
        draws = [torch.Generator().manual_seed(seed) for seed in seeds]
        z = torch.cat([torch.randn(2, 1, net.z_dim, generator=g) for g in draws], dim=1)
        mixed = torch.cat([torch.rand(1, generator=g) for g in draws]) < self.config.style_mixing
        cuts = torch.cat([torch.randint(1, net.num_layers, [1], generator=g) for g in draws])
        if self.codes is not None:
            guided = slice(None, None, self._compared(len(rows)).step)
            z[:, guided, :self.config.guided] = self.codes(wanted[guided], holes[guided])
            mixed[guided] = False
        return Part(real, mask, wanted, holes, z, torch.where(mixed, cuts, net.num_layers), seeds)

    def _compared(self, count: int) -> range:
        """The rows that are compared with the picture: without codes all, with them the first of each hole."""
        return range(0, count, 1 if self.codes is None else self.config.samples_per_hole)

    # ---- updates ------------------------------------------------------------------------------
    def stage(self, images_seen: int) -> tuple[bool, float]:
        """Whether the discriminator is left out, and the weight of L1."""
        return images_seen < self.config.l1_only_kimg * 1000, self.l1_weight(images_seen)

    def update(self, trainer: Trainer, parts: Sequence[Part], alone: bool, l1_weight: float) -> dict[str, Tensor]:
        """One update of both networks. Returns the losses as scalars on the device."""
        losses = {} if alone else self._update_discriminator(trainer, parts)
        losses |= self._update_generator(trainer, parts, alone, l1_weight)
        trainer.follow_w(torch.cat([part.w for part in parts]))
        return losses

    def _generate(self, trainer: Trainer, part: Part) -> None:
        config, net = self.config, trainer.generator
        # style mixing: layers from a random one on follow another latent (Karras et al. 2019, Section 3.1)
        w, layers = net.map(part.z[0]), torch.arange(net.num_layers, device=part.z.device)
        styles = torch.where(layers[None, :, None] >= part.cuts[:, None, None], net.map(part.z[1]), w)
        draws = [torch.Generator().manual_seed((seed + 1) % 2 ** 63) for seed in part.seeds]
        noises = draws if part.real.device.type == "cpu" else None
        encoding = net.encode(part.wanted, part.holes, generators=draws)
        part.fake, part.w = net.decode(encoding, styles, config.noise_mode, noises), w[:, 0].detach()

    def _update_discriminator(self, trainer: Trainer, parts: Sequence[Part]) -> dict[str, Tensor]:
        d, change = trainer.discriminator, trainer.augment
        trainer.wake_discriminator(True)

        def loss(part: Part) -> tuple[Tensor, dict[str, Tensor]]:
            with torch.set_grad_enabled(len(parts) == 1):        # a single part keeps its graph for the generator
                self._generate(trainer, part)
            reals, fakes = judged(d, change(part.real, part.mask, part.seeds, 0),
                                  change(part.fake.detach(), part.holes, part.seeds, 1))
            change.watch(reals)
            value = (discriminator_hinge if self.on_features else discriminator_loss)(reals, fakes)
            return value, {"D": value}

        def scored(part: Part) -> tuple[Callable[[Tensor], Tensor], Tensor]:
            real, mask = change(part.real, part.mask, part.seeds, 2)
            return lambda x: d(x, mask), real

        return trainer.update(trainer.d_optimizer, parts, loss) | trainer.penalise(parts, scored)

    def _update_generator(self, trainer: Trainer, parts: Sequence[Part], alone: bool,
                          l1_weight: float) -> dict[str, Tensor]:
        trainer.wake_discriminator(False)
        area = trainer.place.mean(sum(part.holes.sum() for part in parts) / sum(len(part.holes) for part in parts))

        def loss(part: Part) -> tuple[Tensor, dict[str, Tensor]]:
            if part.fake is None or not part.fake.requires_grad:
                self._generate(trainer, part)
            found = self._generator_loss(trainer, part, area, alone, l1_weight)
            part.fake = None
            return found

        return trainer.update(trainer.g_optimizer, parts, loss)

    def _generator_loss(self, trainer: Trainer, part: Part, area: Tensor, alone: bool,
                        l1_weight: float) -> tuple[Tensor, dict[str, Tensor]]:
        config = self.config
        rows = self._compared(len(part.wanted))
        fake, wanted, holes = (x[rows.start::rows.step] for x in (part.fake, part.wanted, part.holes))
        l1 = hole_l1(fake, wanted, holes, area)
        distance, losses = l1_weight * l1, {"L1": l1.mean()}
        variety = 0.0
        if self.perceptual is not None:
            with torch.no_grad():
                known = self.perceptual.features(wanted)
            features = self.perceptual.features(part.fake if config.diversity_weight else fake)
            mine = [x[rows.start::rows.step] for x in features] if config.diversity_weight else features
            seen = self.perceptual.between(mine, known, holes)
            distance, losses = distance + config.perceptual_weight * seen, losses | {"LP": seen.mean()}
            if config.diversity_weight:
                pairs = [[x[side::2] for x in features] for side in (0, 1)]
                apart = self.perceptual.between(*pairs, part.holes[::2])
                variety, losses = apart.clamp_max(config.diversity_limit).mean(), losses | {"variety": apart.mean()}
        share, count = config.nearest_share, config.samples_per_hole // rows.step
        loss = share * best_of(distance, count) + (1 - share) * distance.mean()
        loss = loss - config.diversity_weight * variety
        if not alone:
            scores = trainer.discriminator(*trainer.augment(part.fake, part.holes, part.seeds, 3))
            adversarial = (generator_hinge if self.on_features else generator_loss)(scores)
            loss, losses = loss + config.adversarial_weight * adversarial, losses | {"G": adversarial}
        return loss, losses

    def l1_weight(self, images: int) -> float:
        """Linear from the warm-up weight to the final one."""
        config = self.config
        t = min(images / max(config.l1_warmup_kimg * 1000, 1), 1.0)
        return config.l1_warmup_weight * (1 - t) + config.l1_weight * t

    # ---- what a person sees -------------------------------------------------------------------
    def grid(self, net: CoModGenerator, held: HeldOut) -> Tensor:
        """One row a picture: the picture, its hole in grey, one completion a seed."""
        images = held.images[:GRID_ROWS].to(held.device).float() / 127.5 - 1
        holes = self.holes.rows(FIXED, range(len(images))).to(held.device)
        return completion_grid(net, images, holes, range(GRID_SEEDS)).cpu()

    @torch.inference_mode()
    def measure(self, net: CoModGenerator, held: HeldOut) -> dict[str, float]:
        """L1 and the mean difference between two seeds, both over the holes and of 255; FD-Lite0."""
        holes = self.holes.rows(FIXED, range(len(held.images)))
        first, second = [], []
        for at in range(0, len(held.images), 32):
            real = held.images[at:at + 32].to(held.device).float() / 127.5 - 1
            for side, offset in ((first, 0), (second, len(held.images))):
                seeds = range(at + offset, at + offset + len(real))
                dropout = latents.generators(seeds, "dropout")
                encoding = net.encode(real, holes[at:at + 32].to(held.device), generators=dropout)
                side.append(to_bytes(net.decode(encoding, latents.sample(net, seeds)).cpu()))
        a, b = torch.cat(first), torch.cat(second)
        arrays = [x.numpy() for x in (held.images, a, b, holes)]
        found = {"L1 in the hole": np.nanmean(l1(arrays[0], arrays[1], arrays[3])),
                 "between two seeds": np.nanmean(l1(arrays[1], arrays[2], arrays[3]))}
        return found | held.fd(a)
