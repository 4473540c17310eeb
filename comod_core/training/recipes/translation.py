"""From a condition to a picture, several for one: co-modulated GANs (Zhao et al., ICLR 2021), and pix2pix and SPADE to
compare them with, all trained by the same step."""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...labels import AVATAR_PARTS, paint, parse_table, read_table
from ...networks import CoModConfig
from ...translation import translate_batch
from ..codes import PICTURES, ConditionCodes, listen
from ..drawings import DRAWS, check_edges, check_label_array, complete_edges, draws, together, vary_labels, vary_lines
from ..heldout import GRID_ROWS, GRID_SEEDS, HeldOut, to_bytes
from ..losses import best_of, discriminator_hinge, discriminator_loss, generator_hinge, generator_loss
from ..pairs import CLASSES
from ..perceptual import PerceptualDistance
from ..presets import augmentation
from ..projected import ProjectedDiscriminator, judged
from ..trainer import Trainer
from .base import Recipe
from .translation_config import ARCHITECTURES, PUBLISHED, TranslationConfig, condition_channels, small_network


@dataclasses.dataclass
class Part:
    """What one process sees of a batch at a time: pairs to score as real, and conditions to make pictures of.

    real, wanted [N,3,R,R] in [-1,1]; shown, condition [N,C,R,R]; seeds: one a sample; codes [N/k,guided] of the first
    sample of each condition, or None.
    """

    real: Tensor
    shown: Tensor
    wanted: Tensor
    condition: Tensor
    seeds: list[int]
    codes: Tensor | None = None
    fake: Tensor | None = None
    w: Tensor | None = None


class Translation(Recipe):
    """What `Edges` and `Labels` share: all but the making of conditions."""

    config_type, network_type = TranslationConfig, CoModConfig
    command = "comod translate"
    name = "edges"

    def __init__(self, config: TranslationConfig):
        super().__init__(config)
        self.perceptual: nn.Module | None = PerceptualDistance() if config.perceptual_weight else None
        self.codes: ConditionCodes | None = None

    def initialise(self, generator: nn.Module) -> None:
        """Let the mapping hear the guided values of z, which the others would drown."""
        if self.config.guided:
            listen(generator.mapping.dense0.weight, self.config.guided)

    def begin(self, trainer: Trainer) -> None:
        """Find what the codes of pictures are."""
        if self.config.guided:
            images = trainer.pictures.images
            rows = np.unique(np.linspace(0, len(images) - 1, min(len(images), PICTURES)).astype(int))
            self.codes = ConditionCodes(np.stack([images[i] for i in rows]), self._unvaried_rows(trainer, rows),
                                        self.config.guided)

    def _unvaried_rows(self, trainer: Trainer, rows: Sequence[int]) -> Tensor:
        """Conditions [n,C,R,R] of these pictures as they are."""
        beside = {name: np.stack([trainer.pictures.beside[name][i] for i in rows]) for name in self.beside}
        return self.unvaried(beside, slice(None), torch.device("cpu"))

    @classmethod
    def network_config(cls, fields: Mapping[str, Any]) -> Any:
        return ARCHITECTURES[fields.get("architecture", "comodgan")][0](**fields["network"])

    @staticmethod
    def networks(config: TranslationConfig) -> tuple[nn.Module, nn.Module]:
        """Generator and discriminator of these settings, with fresh weights."""
        _, generator, discriminator = ARCHITECTURES[config.architecture]
        if config.critic == "features":
            channels = condition_channels(config.network)
            return generator(config.network), ProjectedDiscriminator(config.network.resolution, channels)
        return generator(config.network), discriminator(config.network)

    @classmethod
    def settings(cls, architecture: str, size: int, pictures: int, channels: int, *, paper: bool = False,
                 **others) -> TranslationConfig:
        """Settings to begin with, of one of the architectures."""
        common = {"recipe": cls.name, "architecture": architecture, "augment": augmentation(pictures), **others}
        if paper and architecture == "comodgan":
            network = CoModConfig(resolution=size, pix2pix=True, condition_channels=channels)
            return TranslationConfig(**common | {"network": network, "augment": augmentation(pictures, "ada")})
        network = small_network(architecture, size, channels)
        common |= {"network": network, "total_kimg": 300.0, "batch": 32, "ema_kimg": 5.0, "noise_mode": "none"}
        if architecture == "comodgan":
            common |= {"learning_rate": 0.0015, "generator_beta1": 0.5, "r1_gamma": 0.25, "l1_only_kimg": 30.0,
                       "l1_warmup_weight": 12.0, "l1_weight": 2.0, "l1_warmup_kimg": 60.0, "perceptual_weight": 4.0,
                       "samples_per_condition": 4, "diversity_weight": 1.0, "diversity_limit": 0.4}
        return TranslationConfig(**common | PUBLISHED[architecture])

    @classmethod
    def facts(cls, config: TranslationConfig) -> dict[str, str]:
        """Kind of the condition, and the classes of label maps as text, one a line."""
        return {"condition": cls.name} | ({"classes": "\n".join(config.classes)} if cls.name == "labels" else {})

    def condition(self, trainer: Trainer, step: int, rows: Sequence[int]) -> Tensor:
        """Conditions [n,C,R,R] of these rows of a step, varied."""
        raise NotImplementedError

    def moved(self, condition: Tensor, at: Tensor) -> Tensor:
        """A condition whose pixels are fetched from elsewhere (`together`)."""
        raise NotImplementedError

    def unvaried(self, beside: Mapping[str, np.ndarray], rows: slice, device) -> Tensor:
        """Conditions of held-out pictures as they are."""
        raise NotImplementedError

    def picture(self, condition: Tensor) -> Tensor:
        """A condition to look at: [N,3,R,R] in [-1,1]."""
        raise NotImplementedError

    # ---- a step -------------------------------------------------------------------------------
    def stage(self, images_seen: int) -> tuple[bool]:
        """Whether the discriminator is left out."""
        return (images_seen < self.config.l1_only_kimg * 1000,)

    def update(self, trainer: Trainer, parts: Sequence[Part], alone: bool) -> dict[str, Tensor]:
        """One update of both networks. Returns the losses as scalars on the device."""
        for group in trainer.g_optimizer.param_groups if alone else ():
            group["betas"] = (0.9, group["betas"][1])       # momentum suits reconstruction, not the adversarial part
        losses = {} if alone else self._update_discriminator(trainer, parts)
        losses |= self._update_generator(trainer, parts, alone)
        if parts[0].w is not None:
            trainer.follow_w(torch.cat([part.w for part in parts]))
        return losses

    def draw(self, trainer: Trainer, step: int, rows: Sequence[int]) -> Part:
        k = self.config.samples_per_condition
        real = trainer.pictures.rows(step, self.config.batch, rows).contiguous(memory_format=torch.channels_last)
        shown = self.condition(trainer, step, rows)
        flips = torch.from_numpy(trainer.pictures.flips(step, rows)).view(-1, 1, 1, 1)
        shown = torch.where(flips, shown.flip(3), shown) if trainer.pictures.mirror else shown
        codes = self._codes(trainer, step, rows, real[:len(rows) // k])
        if self.config.warp:
            at = together(self.config.seed, step, rows, self.resolution, self.config.warp)
            real = F.grid_sample(real, at, padding_mode="border", align_corners=False)
            shown = self.moved(shown, at)
        # neighbours share a condition; the groups of minibatch_std are strided, so no group sees one condition twice
        wanted, condition = ((x[:len(x) // k].repeat_interleave(k, dim=0) if k > 1 else x) for x in (real, shown))
        seeds = [int(np.random.default_rng((self.config.seed, 3, step, row)).integers(2 ** 63)) for row in rows]
        return Part(real, shown, wanted, condition, seeds, codes)

    def _codes(self, trainer: Trainer, step: int, rows: Sequence[int], wanted: Tensor) -> Tensor | None:
        """Codes of the pictures that are wanted, by their conditions as they are."""
        if self.codes is None:
            return None
        chosen = trainer.pictures.indices(step, self.config.batch, rows)[:len(wanted)]
        flips = torch.from_numpy(trainer.pictures.flips(step, rows)[:len(wanted)]).view(-1, 1, 1, 1)
        shown = self._unvaried_rows(trainer, chosen)
        return self.codes(wanted, torch.where(flips, shown.flip(3), shown))

    def _generate(self, trainer: Trainer, part: Part) -> None:
        net, config = trainer.generator, self.config
        generators = [torch.Generator().manual_seed(seed) for seed in part.seeds]
        noises = generators if part.real.device.type == "cpu" else None
        if config.architecture == "pix2pix":
            part.fake = net.translate(part.condition, noises)
            return
        z = torch.cat([torch.randn(2, 1, net.z_dim, generator=g) for g in generators], dim=1).to(part.real.device)
        if config.architecture == "spade":
            part.fake = net.translate(part.condition, z[0])
            return
        # style mixing: layers from a random one on follow another latent (Karras et al. 2019, Section 3.1)
        mixed = torch.tensor([torch.rand(1, generator=g).item() < config.style_mixing for g in generators])
        if part.codes is not None:
            z[0, ::config.samples_per_condition, :config.guided] = part.codes
            mixed[::config.samples_per_condition] = False
        cuts = torch.cat([torch.randint(1, net.num_layers, [1], generator=g) for g in generators])
        other = torch.arange(net.num_layers) >= torch.where(mixed, cuts, net.num_layers)[:, None]
        w = net.map(z[0])
        styles = torch.where(other[..., None].to(w.device), net.map(z[1]), w)
        encoding = net.encode(part.condition, generators=generators)
        part.fake, part.w = net.decode(encoding, styles, config.noise_mode, noises), w[:, 0].detach()

    def _update_discriminator(self, trainer: Trainer, parts: Sequence[Part]) -> dict[str, Tensor]:
        d, change = trainer.discriminator, trainer.augment
        trainer.wake_discriminator(True)

        def loss(part: Part) -> tuple[Tensor, dict[str, Tensor]]:
            with torch.set_grad_enabled(len(parts) == 1):        # a single part keeps its graph for the generator
                self._generate(trainer, part)
            reals, fakes = judged(d, change(part.real, part.shown, part.seeds, 0),
                                  change(part.fake.detach(), part.condition, part.seeds, 1))
            change.watch(reals)
            hinge = self.config.adversarial == "hinge"
            value = (discriminator_hinge if hinge else discriminator_loss)(reals, fakes)
            return value, {"D": value}

        def scored(part: Part) -> tuple[Callable[[Tensor], Tensor], Tensor]:
            real, shown = change(part.real, part.shown, part.seeds, 2)
            return lambda x: d(x, shown).mean(dim=1), real

        return trainer.update(trainer.d_optimizer, parts, loss) | trainer.penalise(parts, scored)

    def _update_generator(self, trainer: Trainer, parts: Sequence[Part], alone: bool) -> dict[str, Tensor]:
        trainer.wake_discriminator(False)

        def loss(part: Part) -> tuple[Tensor, dict[str, Tensor]]:
            if part.fake is None or not part.fake.requires_grad:
                self._generate(trainer, part)
            value, losses = self._likeness(trainer, part)
            if not alone:
                extra, more = self._persuasion(trainer, part)
                value, losses = value + extra, losses | more
            part.fake = None
            return value, losses

        return trainer.update(trainer.g_optimizer, parts, loss)

    def _likeness(self, trainer: Trainer, part: Part) -> tuple[Tensor, dict[str, Tensor]]:
        """How far the nearest picture is from the one that the condition came from; and that they differ."""
        config, k = self.config, self.config.samples_per_condition
        fake, target = part.fake, part.wanted
        if part.codes is not None:
            fake, target, k = fake[::k], target[::k], 1
        t = min(trainer.images_seen / max(config.l1_warmup_kimg * 1000, 1), 1.0)
        l1 = (fake - target).abs().mean(dim=(1, 2, 3))
        distance = (config.l1_warmup_weight * (1 - t) + config.l1_weight * t) * l1
        losses, variety = {"L1": best_of(l1, k)}, 0.0
        if self.perceptual is not None:
            everywhere = torch.ones_like(fake[:, :1])
            with torch.no_grad():
                wanted = self.perceptual.features(target)
            features = self.perceptual.features(fake)
            seen = self.perceptual.between(features, wanted, everywhere)
            distance, losses = distance + config.perceptual_weight * seen, losses | {"LP": best_of(seen, k)}
            if config.diversity_weight:
                # each picture against the next of the same condition, the last against the first
                after = [x.unflatten(0, (-1, k)).roll(1, dims=1).flatten(0, 1) for x in features]
                apart = self.perceptual.between(features, after, everywhere)
                variety, losses = apart.clamp_max(config.diversity_limit).mean(), losses | {"variety": apart.mean()}
        share = config.nearest_share
        loss = share * best_of(distance, k) + (1 - share) * distance.mean()
        return loss - config.diversity_weight * variety, losses

    def _persuasion(self, trainer: Trainer, part: Part) -> tuple[Tensor, dict[str, Tensor]]:
        """What the discriminator says of the pictures, and its features' difference where they are matched."""
        config, d = self.config, trainer.discriminator
        seen = trainer.augment(part.fake, part.condition, part.seeds, 3)
        scores, features = d.judge(*seen) if config.matching_weight else (d(*seen), [])
        adversarial = (generator_hinge if config.adversarial == "hinge" else generator_loss)(scores)
        loss, losses = config.adversarial_weight * adversarial, {"G": adversarial}
        if features:
            with torch.no_grad():        # changed as the made pictures were: by the same seeds
                _, wanted = d.judge(*trainer.augment(part.wanted, part.condition, part.seeds, 3))
            matching = torch.stack([F.l1_loss(a, b) for a, b in zip(features, wanted, strict=True)]).mean()
            loss, losses = loss + config.matching_weight * matching, losses | {"FM": matching}
        return loss, losses

    # ---- what a person sees -------------------------------------------------------------------
    def grid(self, net: nn.Module, held: HeldOut) -> Tensor:
        """One row a picture: the picture, its condition, one translation a seed."""
        condition = self.unvaried(held.beside, slice(0, GRID_ROWS), held.device)
        columns = [held.images[:GRID_ROWS].float() / 127.5 - 1, self.picture(condition).cpu()]
        for seed in range(GRID_SEEDS):
            columns.append(translate_batch(net, condition, [seed] * len(condition)).cpu())
        rows = torch.cat([torch.cat(list(column), dim=1) for column in columns], dim=2)
        return to_bytes(rows).permute(1, 2, 0).contiguous()

    @torch.inference_mode()
    def measure(self, net: nn.Module, held: HeldOut) -> dict[str, float]:
        """Mean difference between two seeds, of 255, and FD-Lite0 to the held-out pictures."""
        count, sides = len(held.images), ([], [])
        for at in range(0, count, 32):
            condition = self.unvaried(held.beside, slice(at, min(at + 32, count)), held.device)
            for side, offset in zip(sides, (0, count), strict=True):
                seeds = range(at + offset, at + offset + len(condition))
                side.append(to_bytes(translate_batch(net, condition, seeds).cpu()))
        a, b = (torch.cat(side) for side in sides)
        return {"between two seeds": float((a.float() - b.float()).abs().mean())} | held.fd(a)


class Edges(Translation):
    """Line drawings to pictures: edges.npy [N,S,S,K], which is made of the pictures where it is missing."""

    beside, name = ("edges",), "edges"

    @classmethod
    def preset(cls, size: int, pictures: int, *, paper: bool = False) -> TranslationConfig:
        return cls.settings("comodgan", size, pictures, 1, paper=paper, jitter=1.0, drop=0.5)

    def complete_data(self, folder: Path, images: np.ndarray, report: Callable[[str], None]) -> None:
        complete_edges(folder, images, report)

    def begin(self, trainer: Trainer) -> None:
        check_edges(trainer.pictures.beside["edges"], trainer.pictures.images)
        super().begin(trainer)

    def condition(self, trainer: Trainer, step: int, rows: Sequence[int]) -> Tensor:
        config = self.config
        at, edges = trainer.pictures.indices(step, config.batch, rows), trainer.pictures.beside["edges"]
        maps = torch.from_numpy(np.stack([edges[i] for i in at])).movedim(-1, 1).float() / 255
        return self._drawn(vary_lines(maps, draws(config.seed, step, rows), config.jitter, config.drop))

    def moved(self, condition: Tensor, at: Tensor) -> Tensor:
        lines = F.grid_sample(1 - condition, at, padding_mode="border", align_corners=False)
        return 1 - (1.4 * lines).clamp_max(2)        # what was one pixel may lie on two now

    def unvaried(self, beside: Mapping[str, np.ndarray], rows: slice, device) -> Tensor:
        lines = torch.from_numpy(np.ascontiguousarray(beside["edges"][rows, :, :, 0])).to(device)
        return self._drawn(lines[:, None].float() / 255)

    def _drawn(self, lines: Tensor) -> Tensor:
        return (1 - 2 * lines).expand(-1, condition_channels(self.config.network), -1, -1)

    def picture(self, condition: Tensor) -> Tensor:
        return condition[:, :1].expand(-1, 3, -1, -1)


class Labels(Translation):
    """Label maps to pictures: labels.npy uint8 [N,S,S], 255 = unlabelled."""

    beside, name = ("labels",), "labels"

    @classmethod
    def preset(cls, size: int, pictures: int, *, paper: bool = False) -> TranslationConfig:
        return cls.settings("comodgan", size, pictures, len(AVATAR_PARTS), paper=paper, jitter=1.0, drop=0.15,
                            classes=tuple(map(str, AVATAR_PARTS)))

    @classmethod
    def for_set(cls, config: TranslationConfig, folder: Path) -> TranslationConfig:
        """With the classes that classes.txt of the set lists; else the parts of the avatars."""
        classes = tuple(map(str, read_table(folder / CLASSES))) if (folder / CLASSES).exists() else config.classes
        network = dataclasses.replace(config.network, condition_channels=len(classes))
        return dataclasses.replace(config, classes=classes, network=network)

    def begin(self, trainer: Trainer) -> None:
        check_label_array(trainer.pictures.beside["labels"], trainer.pictures.images, self.config.classes)
        super().begin(trainer)

    def condition(self, trainer: Trainer, step: int, rows: Sequence[int]) -> Tensor:
        config = self.config
        at, labels = trainer.pictures.indices(step, config.batch, rows), trainer.pictures.beside["labels"]
        maps = torch.from_numpy(np.stack([labels[i] for i in at]))
        u = draws(config.seed, step, rows)
        return vary_labels(maps, len(config.classes), u, config.jitter, config.drop, 0.2 if config.jitter else 0.0)

    def moved(self, condition: Tensor, at: Tensor) -> Tensor:
        return F.grid_sample(condition, at, mode="nearest", padding_mode="border", align_corners=False)

    def unvaried(self, beside: Mapping[str, np.ndarray], rows: slice, device) -> Tensor:
        labels = torch.from_numpy(np.ascontiguousarray(beside["labels"][rows])).to(device)
        return vary_labels(labels, len(self.config.classes), torch.ones(len(labels), DRAWS, device=device), 0, 0, 0)

    def picture(self, condition: Tensor) -> Tensor:
        labels = torch.where(condition.amax(dim=1) > 0, condition.argmax(dim=1), 255)
        return paint(labels, parse_table(self.config.classes))
