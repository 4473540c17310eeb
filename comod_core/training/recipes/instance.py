"""Pictures in the look of an instance (Casanova et al., "Instance-Conditioned GAN", NeurIPS 2021), with StyleGAN2.

The discriminator sees neighbours of an instance as real and what the generator makes of the same instance as fake, both
under the instance's feature. Without features the same losses train a plain StyleGAN2.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import CoModError
from ...instances.extractors import load_extractor
from ...networks.stylegan2 import StyleGAN2Config, StyleGAN2Discriminator, StyleGAN2Generator
from ..config import TrainConfig
from ..grids import instance_grid, instance_samples
from ..heldout import HeldOut
from ..losses import discriminator_hinge, discriminator_loss, generator_hinge, generator_loss
from ..neighbourhoods import Steps, neighbourhoods, of_groups, write_features
from ..perceptual import PerceptualDistance
from ..place import moved
from ..presets import augmentation
from ..projected import ProjectedDiscriminator, check_critic, judged
from ..trainer import Trainer
from .base import Recipe

LITE0, LITE0_COLOURS = 1280, 1472       # values of a feature of Lite0, without and with colours
EXTRACTORS = {LITE0: "lite0", LITE0_COLOURS: "lite0-colours"}
EMBEDDED = 32       # channels that a feature becomes for a discriminator on features


@dataclasses.dataclass(frozen=True, kw_only=True)
class InstanceConfig(TrainConfig):
    """Settings of `Instance`.

    network: feature_size 0 trains without instances, label_size above 0 with the classes of labels.npy. neighbours: how
    many pictures stand for an instance, itself among them. colour_pool: of so many nearest by features, the neighbours
    are those whose colours lie most alike; None: the nearest by features alone, as published. groups: the neighbours
    are the pictures of the same number in groups.npy, int [N], in place of all that. feature_noise: length of
    a random vector that is added to a feature, which has length 1. style_mixing: share of pictures with two z.
    pull_weight: of the mean absolute difference and perceptual distance of samples to a neighbour of their instance,
    where z is the step from one to the other (`Steps`); not of the publication. The first pull_only_kimg are trained by
    it alone, without the discriminator; later every second sample is pulled, and the others have a random z.
    critic_steps: updates of the discriminator for one of the generator.
    critic: "pictures", the published discriminator, or "features", `ProjectedDiscriminator` with the hinge loss and
    without R1, which takes the feature too; adversarial_weight: of the generator's loss by it.
    """

    recipe: str = "instance"
    network: StyleGAN2Config = dataclasses.field(default_factory=lambda: StyleGAN2Config(feature_size=LITE0))
    neighbours: int = 50
    groups: bool = False
    colour_pool: int | None = None
    feature_noise: float = 0.0
    style_mixing: float = 0.9
    noise_mode: str = "random"
    critic_steps: int = 1
    pull_weight: float = 0.0
    pull_only_kimg: float = 0.0
    critic: str = "pictures"
    adversarial_weight: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        if self.critic_steps < 1 or not 0 <= self.style_mixing <= 1 or self.feature_noise < 0:
            raise CoModError("Training: critic_steps begins at 1, style_mixing lies in [0,1], feature_noise is not "
                             "negative.")
        check_critic(self)
        if self.critic == "features" and self.network.label_size:
            raise CoModError("Training: critic 'features' takes no classes; set network.label_size=0.")
        if self.pull_weight < 0 or (self.pull_only_kimg and not self.pull_weight) or (
                self.pull_weight and not self.network.feature_size):
            raise CoModError("Training: pull_weight is not negative and needs instances; pull_only_kimg needs it.")
        least = 2 if self.pull_weight else 1
        if not least <= self.neighbours <= (self.colour_pool or self.neighbours):
            raise CoModError(f"Training: neighbours {self.neighbours} must lie from {least} to colour_pool "
                             f"{self.colour_pool}; pull_weight needs one beside the instance itself.")


@dataclasses.dataclass
class Part:
    """What one process sees of a batch at a time.

    real [N,C,R,R] in [-1,1]; feature [N,F] and label [N,L], None where the network takes none; z [2,N,z_dim], the
    second for style mixing from the layers `cuts` [N] on; pulled: numbers of the samples that are to become the real
    picture beside them; one seed a sample.
    """

    real: Tensor
    feature: Tensor | None
    label: Tensor | None
    z: Tensor
    cuts: Tensor
    pulled: Tensor
    seeds: list[int]
    fake: Tensor | None = None
    w: Tensor | None = None


class Instance(Recipe):
    """Instance-conditioned StyleGAN2 and its discriminator."""

    config_type, network_type, recordable = InstanceConfig, StyleGAN2Config, True
    command = "comod instance generate"
    critic_loss, maker_loss = staticmethod(discriminator_loss), staticmethod(generator_loss)

    def __init__(self, config: InstanceConfig):
        super().__init__(config)
        self.neighbours: np.ndarray | None = None
        self.steps: Steps | None = None
        sizes = {"instances": config.network.feature_size, "labels": config.network.label_size}
        self.beside = tuple(name for name, size in sizes.items() if size) + (("groups",) if config.groups else ())
        self.perceptual: nn.Module | None = PerceptualDistance() if config.pull_weight else None
        if config.critic == "features":
            self.critic_loss, self.maker_loss = discriminator_hinge, generator_hinge

    @classmethod
    def networks(cls, config: InstanceConfig) -> tuple[nn.Module, nn.Module]:
        """Generator and discriminator of these settings, with fresh weights."""
        generator, size = cls.generator(config), config.network.feature_size
        if config.critic == "features":
            return generator, ProjectedDiscriminator(config.network.resolution, EMBEDDED if size else 0,
                                                     feature_size=size)
        return generator, cls.discriminator(config)

    @staticmethod
    def generator(config: InstanceConfig) -> nn.Module:
        return StyleGAN2Generator(config.network)

    @staticmethod
    def discriminator(config: InstanceConfig) -> nn.Module:
        """The published one."""
        return StyleGAN2Discriminator(config.network)

    @classmethod
    def preset(cls, size: int, pictures: int, *, paper: bool = False) -> InstanceConfig:
        """Settings to begin with. The paper's take 50 neighbours; the small ones 10, alike in colours as well."""
        if paper:
            channels = tuple(min(16384 // side, 512) for side in _sides(size))
            network = StyleGAN2Config(size, channels, feature_size=LITE0)
            return InstanceConfig(network=network, augment=augmentation(pictures), r1_gamma=0.0002 * size ** 2 / 32)
        network = StyleGAN2Config(
            size, tuple(min(2048 // side, 192) for side in _sides(size)), z_dim=128, w_dim=128,
            feature_size=LITE0_COLOURS, mapping_layers=4, critic_mapping_layers=2,
            critic_channels=tuple(min(2048 // side, 128) for side in _sides(size)))
        few = min(10, pictures)
        return InstanceConfig(
            network=network, total_kimg=1000.0, batch=64, learning_rate=0.0025, r1_gamma=0.1, ema_kimg=5.0,
            neighbours=few, colour_pool=min(100, pictures), feature_noise=0.2, style_mixing=0.0, noise_mode="none",
            augment=augmentation(pictures))

    @classmethod
    def facts(cls, config: InstanceConfig) -> dict[str, str]:
        known = EXTRACTORS.get(config.network.feature_size)
        return {"features": known} if known else {}

    # ---- beginnings ---------------------------------------------------------------------------
    def complete_data(self, folder: Path, images: np.ndarray, report: Callable[[str], None]) -> None:
        """Write instances.npy, the features of the pictures, where it is needed and missing."""
        path, known = Path(folder) / "instances.npy", EXTRACTORS.get(self.config.network.feature_size)
        if "instances" not in self.beside or path.exists() or not known:
            return
        report(f"{path}: features of {len(images)} pictures by {known}")
        write_features(path, images, load_extractor(known, "cuda" if torch.cuda.is_available() else "cpu"))

    def begin(self, trainer: Trainer) -> None:
        """Find the neighbours, and let the features' mean be the origin of their embeddings."""
        config, size = self.config, self.config.network.feature_size
        if not size:
            return
        features = trainer.pictures.beside["instances"]
        if features.ndim != 2 or features.shape[1] != size:
            raise CoModError(f"Training: instances.npy has shape {list(features.shape)}, the network takes [N,{size}]. "
                             f"Set network.feature_size, or remove the file: it is made anew for {LITE0} and "
                             f"{LITE0_COLOURS} values (Lite0, without and with colours).")
        if config.groups:
            self.neighbours = of_groups(np.asarray(trainer.pictures.beside["groups"]), config.neighbours)
        else:
            self.neighbours = neighbourhoods(features, config.neighbours, trainer.place.device,
                                             trainer.pictures.images, config.colour_pool)
        if config.pull_weight:
            self.steps = Steps(features, trainer.pictures.images, self.neighbours, trainer.generator.z_dim)
        rows = np.linspace(0, len(features) - 1, min(len(features), 8192)).astype(int)
        mean = torch.from_numpy(np.asarray(features[rows], np.float32).mean(axis=0))[None].to(trainer.place.device)
        for net in (trainer.generator, trainer.ema, trainer.discriminator):
            centre(self.embedding(net), mean)

    @staticmethod
    def embedding(net: nn.Module) -> nn.Module:
        """The layer of a network that takes the feature."""
        return net.feature if isinstance(net, ProjectedDiscriminator) else net.mapping.feature

    # ---- what a step sees ---------------------------------------------------------------------
    def step(self, trainer: Trainer) -> dict[str, Tensor]:
        """As of every recipe, after the discriminator's updates on other pictures, where it has several."""
        config = self.config
        (alone,) = self.stage(trainer.images_seen)
        for turn in range(0 if alone else config.critic_steps - 1):
            others = [self._part(trainer, trainer.step * config.critic_steps + turn, rows, False)
                      for rows in trainer.place.parts(config.batch, config.accumulate)]
            self._update_discriminator(trainer, [moved(part, trainer.place.device) for part in others])
        return super().step(trainer)

    def stage(self, images_seen: int) -> tuple[bool]:
        """Whether the discriminator is left out."""
        return (images_seen < self.config.pull_only_kimg * 1000,)

    def draw(self, trainer: Trainer, step: int, rows: Sequence[int]) -> Part:
        (alone,) = self.stage(step * self.config.batch)
        return self._part(trainer, (step + 1) * self.config.critic_steps - 1, rows, alone)

    def update(self, trainer: Trainer, parts: Sequence[Part], alone: bool) -> dict[str, Tensor]:
        """One update of the generator, and the discriminator's before it. Returns the losses as scalars."""
        losses = {} if alone else self._update_discriminator(trainer, parts) | self._penalise(trainer, parts)
        return losses | self._update_generator(trainer, parts, alone)

    def _part(self, trainer: Trainer, moment: int, rows: Sequence[int], alone: bool = False) -> Part:
        config, net, pictures = self.config, trainer.generator, trainer.pictures
        draws = [np.random.default_rng((config.seed, 3, moment, row)) for row in rows]
        seeds = [int(draw.integers(2 ** 63)) for draw in draws]
        at = pictures.indices(moment, config.batch, rows)
        pulled = [] if self.steps is None else [n for n, row in enumerate(rows) if alone or row % 2]
        shown = at if self.neighbours is None else [
            int(self.neighbours[i, draw.integers(n in pulled, config.neighbours)])      # the first is the instance
            for n, (i, draw) in enumerate(zip(at, draws, strict=True))]
        z = np.stack([draw.standard_normal((2, net.z_dim), np.float32) for draw in draws], axis=1)
        for n in pulled:
            z[:, n] = self.steps(at[n], shown[n])
        layers = getattr(net, "num_layers", 1)
        mixed = np.array([draw.random() < config.style_mixing for draw in draws])
        cuts = np.where(mixed, [draw.integers(1, layers + 1) for draw in draws], layers)
        return Part(self._pictures(trainer, shown, pictures.flips(moment, rows)), self._features(trainer, at, draws),
                    self._labels(trainer, shown), torch.from_numpy(z), torch.from_numpy(cuts),
                    torch.tensor(pulled, dtype=torch.long), seeds)

    def _pictures(self, trainer: Trainer, indices: Sequence[int], flips: np.ndarray) -> Tensor:
        batch = np.stack([trainer.pictures.images[i][:, ::-1] if flip else trainer.pictures.images[i]
                          for i, flip in zip(indices, flips, strict=True)])
        batch = torch.from_numpy(batch).permute(0, 3, 1, 2)
        return (batch.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)

    def _features(self, trainer: Trainer, indices: Sequence[int],
                  draws: Sequence[np.random.Generator]) -> Tensor | None:
        if self.neighbours is None:
            return None
        rows = np.stack([trainer.pictures.beside["instances"][i] for i in indices]).astype(np.float32)
        if self.config.feature_noise:
            noise = np.stack([draw.standard_normal(rows.shape[1], np.float32) for draw in draws])
            rows += noise * (self.config.feature_noise / rows.shape[1] ** 0.5)
        feature = torch.from_numpy(rows)
        return feature / feature.norm(dim=1, keepdim=True)

    def _labels(self, trainer: Trainer, shown: Sequence[int]) -> Tensor | None:
        """Classes of the pictures that are shown as real, as in the class-conditional IC-GAN: [N,L]."""
        size = self.config.network.label_size
        if not size:
            return None
        numbers = torch.tensor([int(trainer.pictures.beside["labels"][i]) for i in shown])
        if numbers.min() < 0 or numbers.max() >= size:
            raise CoModError(f"Training: labels.npy has class {int(numbers.max())}, the network has {size}, from 0.")
        return torch.nn.functional.one_hot(numbers, size).float()

    def _generate(self, trainer: Trainer, part: Part) -> None:
        config, net = self.config, trainer.generator
        w = styles = net.map(part.z[0], part.label, part.feature)
        if config.style_mixing:
            layers = torch.arange(net.num_layers, device=w.device)[None, :, None]
            styles = torch.where(layers >= part.cuts[:, None, None], net.map(part.z[1], part.label, part.feature), w)
        noises = None
        if config.noise_mode == "random" and w.device.type == "cpu":
            noises = [torch.Generator().manual_seed(seed) for seed in part.seeds]
        part.fake, part.w = net.decode(styles, config.noise_mode, noises), w[:, 0].detach()

    # ---- updates ------------------------------------------------------------------------------
    def _update_discriminator(self, trainer: Trainer, parts: Sequence[Part]) -> dict[str, Tensor]:
        trainer.wake_discriminator(True)

        def loss(part: Part) -> tuple[Tensor, dict[str, Tensor]]:
            with torch.set_grad_enabled(len(parts) == 1):       # a single part keeps its graph for the generator
                self._generate(trainer, part)
            reals, fakes = judged(trainer.discriminator, self._seen(trainer, part, part.real, 0),
                                  self._seen(trainer, part, part.fake.detach(), 1))
            trainer.augment.watch(reals)
            value = self.critic_loss(reals, fakes)
            return value, {"D": value}

        return trainer.update(trainer.d_optimizer, parts, loss)

    def _penalise(self, trainer: Trainer, parts: Sequence[Part]) -> dict[str, Tensor]:
        def scored(part: Part) -> tuple[Callable[[Tensor], Tensor], Tensor]:
            real, *others = self._seen(trainer, part, part.real, 2)
            return lambda x: trainer.discriminator(x, *others), real

        return trainer.penalise(parts, scored)

    def _update_generator(self, trainer: Trainer, parts: Sequence[Part], alone: bool) -> dict[str, Tensor]:
        trainer.wake_discriminator(False)

        def loss(part: Part) -> tuple[Tensor, dict[str, Tensor]]:
            if part.fake is None or not part.fake.requires_grad:
                self._generate(trainer, part)
            losses = {}
            if not alone:
                losses["G"] = self.maker_loss(trainer.discriminator(*self._seen(trainer, part, part.fake, 3)))
            if self.steps is not None:
                losses["pull"] = self._pull(part)
            part.fake = None
            adversarial = self.config.adversarial_weight * losses.get("G", 0.0)
            return adversarial + self.config.pull_weight * losses.get("pull", 0.0), losses

        totals = trainer.update(trainer.g_optimizer, parts, loss)
        if parts[0].w is not None:
            trainer.follow_w(torch.cat([part.w for part in parts]))
        return totals

    def _pull(self, part: Part) -> Tensor:
        """Absolute difference and perceptual distance of the pulled samples to their neighbours, over all samples."""
        fake, wanted = part.fake.index_select(0, part.pulled), part.real.index_select(0, part.pulled)
        gaps = (fake - wanted).abs().mean(dim=(1, 2, 3)) + self.perceptual(fake, wanted, torch.ones_like(fake[:, :1]))
        return gaps.sum() / len(part.real)

    def _seen(self, trainer: Trainer, part: Part, image: Tensor, phase: int) -> tuple[Tensor | None, ...]:
        """What the discriminator takes: pictures, augmented, with their instances' features and their classes."""
        image, _ = trainer.augment(image, image[:, :0], part.seeds, phase)
        return (image, part.feature) if self.config.critic == "features" else (image, part.feature, part.label)

    # ---- what is seen of a run ----------------------------------------------------------------
    def grid(self, net: nn.Module, held: HeldOut) -> Tensor:
        """One row a held-out picture: itself as instance, then samples of fixed seeds; without instances samples."""
        return instance_grid(net, held)

    def measure(self, net: nn.Module, held: HeldOut) -> dict[str, float]:
        """FD-Lite0 of one sample an instance; cosines to the instance and between two seeds, by Lite0 as well."""
        first, second = (instance_samples(net, held, offset) for offset in (0, len(held.images)))
        found = held.fd(first)
        if held.features is not None and self.config.network.feature_size in EXTRACTORS:
            a, b = (torch.nn.functional.normalize(torch.from_numpy(held.features(x)), dim=1) for x in (first, second))
            own = torch.from_numpy(np.asarray(held.beside["instances"][:, :LITE0], np.float32))     # colours come last
            own = torch.nn.functional.normalize(own, dim=1)
            found |= {"likeness to the instance": float((a * own).sum(dim=1).mean()),
                      "likeness of two seeds": float((a * b).sum(dim=1).mean())}
        return found


def centre(layer: nn.Module, mean: Tensor) -> None:
    """Shift a layer's bias so that it takes `mean` [1,F] to zero. Features of pictures share a large mean."""
    if layer.bias is not None:
        with torch.no_grad():
            layer.bias -= layer(mean)[0]


def _sides(size: int) -> list[int]:
    return [4 << i for i in range(size.bit_length() - 2)]
