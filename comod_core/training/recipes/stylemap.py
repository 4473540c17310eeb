"""Editing photos through style maps, StyleMapGAN (Kim et al., CVPR 2021): settings and losses of one step."""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ... import stylemaps
from ...errors import CoModError
from ...files import atomic_write
from ...networks import StyleMapConfig, StyleMapDiscriminator, StyleMapGAN
from ..blends import DRAWS, Blend, balanced, blends, check_edits, known_edits
from ..config import TrainConfig
from ..heldout import GRID_ROWS, HeldOut, to_bytes
from ..losses import discriminator_hinge, discriminator_loss, generator_hinge, generator_loss
from ..perceptual import perceptual_network
from ..presets import augmentation
from ..projected import ProjectedDiscriminator, check_critic, judged
from ..trainer import Trainer
from .base import Recipe

EMA_STEPS = 693         # half-life of the published average, 0.999 a step


@dataclasses.dataclass(frozen=True, kw_only=True)
class StyleMapTrainConfig(TrainConfig):
    """Settings of `StyleMap`. As published: a weight of 1 for the adversarial losses and the first three below.

    mse_weight and perceptual_weight: between a picture and its reconstruction, for decoder and encoder.
    indomain_weight: between a sampled style map and what the encoder makes of its picture, for the encoder alone.
    Additions, off by themselves: l1_weight, of the mean absolute difference of reconstructions; blend_weight, of
    pictures decoded from two blended style maps, which the discriminator sees as fakes and which shall have the pixels
    of both sides (see `blends`); part_blends, share of blends that swap a part, by the labels.npy beside the pictures;
    edits: half of a batch are pictures whose edit is known (`known_edits`), the other half the references that they
    take a part from, and the edits shall come out so; edits.npy and edited.npy lie beside the pictures;
    balance, share of MSE and absolute difference in which all parts of a picture count alike, however small they are;
    sample_weight, of the adversarial loss of sampled style maps, 0 to leave them and the mapping out of training;
    warmup_kimg, thousand images at first without anything adversarial; critic: "pictures", the published discriminator,
    or "features", `ProjectedDiscriminator` with the hinge loss and without R1; adversarial_weight, of the generator's
    losses by it.
    """

    recipe: str = "stylemap"
    network: StyleMapConfig = dataclasses.field(default_factory=StyleMapConfig)
    mse_weight: float = 1.0
    perceptual_weight: float = 1.0
    indomain_weight: float = 1.0
    l1_weight: float = 0.0
    blend_weight: float = 0.0
    part_blends: float = 0.0
    edits: bool = False
    sample_weight: float = 1.0
    balance: float = 0.0
    warmup_kimg: float = 0.0
    critic: str = "pictures"
    adversarial_weight: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        check_critic(self)
        names = ("mse_weight", "perceptual_weight", "indomain_weight", "l1_weight", "blend_weight", "warmup_kimg",
                 "adversarial_weight", "sample_weight")
        bad = [name for name in names if getattr(self, name) < 0]
        if bad:
            raise CoModError(f"Training: {', '.join(bad)} must not be negative.")
        for name in ("part_blends", "balance"):
            if not 0 <= getattr(self, name) <= 1:
                raise CoModError(f"Training: {name} {getattr(self, name)} is a share, from 0 to 1.")
        if self.edits and (self.batch % 2 or not self.blend_weight):
            raise CoModError("Training: edits needs an even batch and a blend_weight.")


@dataclasses.dataclass
class Part:
    """What one process sees of a batch at a time.

    real [N,C,R,R] in [-1,1]; z [N,z_dim]; u [N,DRAWS] in [0,1); labels [N,R,R] or None; seeds: one a row; edited
    [N/2,C,R,R]: the first half with the part exchanged [N/2] of the second, or None. What follows from them: weight,
    blend_weight [N,1,R,R] of the pixels of reconstructions and blends, 1 on average; blend of each picture with its
    reference; the encoded style maps, the mapped ones, and decoded by kind: "recon", "sample" and "blend".
    """

    real: Tensor
    z: Tensor
    u: Tensor
    labels: Tensor | None
    seeds: list[int]
    edited: Tensor | None = None
    exchanged: Tensor | None = None
    weight: Tensor | None = None
    blend: Blend | None = None
    blend_weight: Tensor | None = None
    encoded: Tensor | None = None
    mapped: Tensor | None = None
    fakes: dict[str, Tensor] = dataclasses.field(default_factory=dict)

    def reference(self, x: Tensor) -> Tensor:
        """Of a value a row, that of the row's reference: the next one, or with edits the one half a batch further."""
        return x.roll(-1 if self.edited is None else -(len(self.real) // 2), 0)


class StyleMap(Recipe):
    """Decoder, mapping and encoder of style maps, and StyleGAN2's discriminator."""

    config_type, network_type, recordable = StyleMapTrainConfig, StyleMapConfig, True
    command = "comod edit reconstruct"
    critic_loss, maker_loss = staticmethod(discriminator_loss), staticmethod(generator_loss)

    def __init__(self, config: StyleMapTrainConfig):
        super().__init__(config)
        if config.critic == "features":
            self.critic_loss, self.maker_loss = discriminator_hinge, generator_hinge
        self.beside = ("labels",) if config.part_blends * config.blend_weight or config.balance or config.edits else ()
        self.beside += ("edits", "edited") if config.edits else ()
        self.perceptual: nn.Module | None = perceptual_network() if config.perceptual_weight else None
        self.parts = 0

    @staticmethod
    def networks(config: StyleMapTrainConfig) -> tuple[nn.Module, nn.Module]:
        """Generator with its encoder, and discriminator, with fresh weights."""
        if config.critic == "features":
            return StyleMapGAN(config.network), ProjectedDiscriminator(config.network.resolution, 0)
        return StyleMapGAN(config.network), StyleMapDiscriminator(config.network)

    @classmethod
    def preset(cls, size: int, pictures: int, *, paper: bool = False) -> StyleMapTrainConfig:
        """Settings to begin with. The small ones keep the published 8 x 8 cells, which are parts of a face at any size,
        in narrow networks, and learn from blends too."""
        levels = [2 ** i for i in range(2, int(np.log2(size)) + 1)]
        if paper:
            network = StyleMapConfig(resolution=size, style_size=8 if size < 1024 else 16, small=size >= 1024,
                                     channels=tuple(min(512, 512 * 64 // level) for level in levels))
            return StyleMapTrainConfig(network=network, ema_kimg=32 * EMA_STEPS / 1000, ema_rampup=None,
                                       augment=augmentation(pictures, "ada"))
        network = StyleMapConfig(resolution=size, style_size=min(8, size // 2), mapping_layers=4,
                                 channels=tuple(min(128, 32 * size // level) for level in levels))
        return StyleMapTrainConfig(
            network=network, total_kimg=400.0, batch=32, r1_gamma=0.25 * (size / 64) ** 2, warmup_kimg=30.0,
            mse_weight=5.0, l1_weight=10.0, perceptual_weight=8.0, indomain_weight=0.1, blend_weight=1.0,
            generator_beta1=0.5, ema_kimg=5.0, augment=augmentation(pictures))

    def complete_data(self, folder: Path, images: np.ndarray, report: Callable[[str], None]) -> None:
        """Where blends of parts are wanted and no labels.npy is there, write one that knows no parts, and say so."""
        path = Path(folder) / "labels.npy"
        if self.beside == ("labels",) and not path.exists():
            with atomic_write(path) as file:
                np.save(file, np.zeros(images.shape[:3], np.uint8))
            report(f"{path}: made without any parts, so all blends take random shapes.")

    def begin(self, trainer: Trainer) -> None:
        """Check the labels and count the parts."""
        labels = trainer.pictures.beside.get("labels")
        if labels is None:
            return
        if labels.shape != trainer.pictures.images.shape[:3] or labels.dtype != np.uint8:
            raise CoModError(f"Training: labels.npy is {labels.dtype} {list(labels.shape)}; for these pictures it must "
                             f"be uint8 {list(trainer.pictures.images.shape[:3])}.")
        self.parts = int(labels.max())
        if self.config.edits:
            check_edits(trainer.pictures)

    def stage(self, images_seen: int) -> tuple[bool]:
        """Whether all that is adversarial is left out."""
        return (images_seen < self.config.warmup_kimg * 1000,)

    def update(self, trainer: Trainer, parts: Sequence[Part], alone: bool) -> dict[str, Tensor]:
        """One update of all networks. Returns the losses as scalars on the device."""
        for part in parts:
            self._plan(part)
        losses = {} if alone else self._update_discriminator(trainer, parts)
        losses |= self._update_generator(trainer, parts, alone)
        if not alone and self.config.sample_weight:
            trainer.follow_w(torch.cat([part.mapped.flatten(1) for part in parts]))
        return losses

    # ---- what a step sees ---------------------------------------------------------------------
    def draw(self, trainer: Trainer, step: int, rows: Sequence[int]) -> Part:
        config, pictures = self.config, trainer.pictures
        seeds = [int(np.random.default_rng((config.seed, 3, step, row)).integers(2 ** 63)) for row in rows]
        draws = [torch.Generator().manual_seed(seed) for seed in seeds]
        z = torch.cat([torch.randn(1, trainer.generator.z_dim, generator=g) for g in draws])
        u = torch.cat([torch.rand(1, DRAWS, generator=g) for g in draws])
        chosen, flips = pictures.indices(step, config.batch, rows), pictures.flips(step, rows)
        edited = exchanged = None
        if config.edits:
            chosen, flips = chosen[:len(rows) // 2], np.tile(flips[:len(rows) // 2], 2)
            edited = pictures.take(chosen, flips[:len(chosen)], "edited")
            edits = pictures.beside["edits"][chosen]
            chosen, exchanged = [*chosen, *edits[:, 0]], torch.from_numpy(np.array(edits[:, 1]))
        labels = pictures.labels(chosen, flips) if self.parts else None
        real = pictures.take(chosen, flips).contiguous(memory_format=torch.channels_last)
        return Part(real, z, u, labels, seeds, edited, exchanged)

    def _plan(self, part: Part) -> None:
        """What is to be blended, and how much each pixel counts."""
        config, real, labels = self.config, part.real, part.labels
        part.weight, part.blend_weight = self._weight(real, labels), torch.ones_like(real[:, :1])
        if config.blend_weight:
            pair = None if labels is None else (labels, part.reference(labels))
            part.blend = blends(real, part.reference(real), part.u, self.resolution // config.network.style_size,
                                labels=pair, parts=self.parts, share=config.part_blends)
            if part.edited is not None:
                part.blend = part.blend.begun(known_edits(part.edited, *pair, part.exchanged, part.u))
            if pair is not None:
                taken = torch.where(part.blend.mask[:, 0] > 0.5, pair[1], pair[0])
                part.blend_weight = self._weight(real, taken)

    def _weight(self, real: Tensor, labels: Tensor | None) -> Tensor:
        share = self.config.balance
        if labels is None or not share:
            return torch.ones_like(real[:, :1])
        return 1 - share + share * balanced(labels, self.parts)

    def _generate(self, net: StyleMapGAN, part: Part, alone: bool) -> None:
        """All pictures of a step in one decode: reconstructions, samples and blends."""
        part.encoded = net.encode(part.real)
        own = net.expand(part.encoded)
        kinds = {"recon": own}
        if not alone and self.config.sample_weight:
            part.mapped = net.map(part.z)
            kinds["sample"] = net.expand(part.mapped)
        if part.blend is not None:
            # as `stylemaps.blend` in space w+: at each level under the mask max-pooled to it
            masks = (F.adaptive_max_pool2d(part.blend.mask, x.shape[-2:]).to(x.dtype) for x in own)
            kinds["blend"] = [torch.lerp(x, part.reference(x), mask) for x, mask in zip(own, masks, strict=True)]
        levels = [torch.cat(kind) for kind in zip(*kinds.values(), strict=True)]
        part.fakes = dict(zip(kinds, net.decode(levels).chunk(len(kinds)), strict=True))

    # ---- updates ------------------------------------------------------------------------------
    @staticmethod
    def _seen(trainer: Trainer, images: Tensor, seeds: Sequence[int], phase: int) -> tuple[Tensor]:
        """What the discriminator takes: pictures, augmented."""
        return (trainer.augment(images, images[:, :0], seeds, phase)[0],)

    def _update_discriminator(self, trainer: Trainer, parts: Sequence[Part]) -> dict[str, Tensor]:
        """Reals against fakes of every kind, which count alike."""
        trainer.wake_discriminator(True)

        def loss(part: Part) -> tuple[Tensor, dict[str, Tensor]]:
            with torch.set_grad_enabled(len(parts) == 1):        # a single part keeps its graph for the generator
                self._generate(trainer.generator, part, False)
            made = [self._seen(trainer, fake.detach(), part.seeds, 1 + i) for i, fake in enumerate(part.fakes.values())]
            reals, *fakes = judged(trainer.discriminator, self._seen(trainer, part.real, part.seeds, 0), *made)
            trainer.augment.watch(reals)
            value = self.critic_loss(reals, torch.cat(fakes))
            return value, {"D": value}

        def scored(part: Part) -> tuple[Callable[[Tensor], Tensor], Tensor]:
            return trainer.discriminator, trainer.augment(part.real, part.real[:, :0], part.seeds, 8)[0]

        return trainer.update(trainer.d_optimizer, parts, loss) | trainer.penalise(parts, scored)

    def _update_generator(self, trainer: Trainer, parts: Sequence[Part], alone: bool) -> dict[str, Tensor]:
        trainer.wake_discriminator(False)

        def loss(part: Part) -> tuple[Tensor, dict[str, Tensor]]:
            if not part.fakes or not part.fakes["recon"].requires_grad:
                self._generate(trainer.generator, part, alone)
            found = self._generator_loss(trainer, part, alone)
            part.fakes = {}
            if part.mapped is not None:
                part.mapped = part.mapped.detach()
            return found

        return trainer.update(trainer.g_optimizer, parts, loss)

    def _generator_loss(self, trainer: Trainer, part: Part, alone: bool) -> tuple[Tensor, dict[str, Tensor]]:
        config = self.config
        whole = torch.ones_like(part.real[:, :1])
        loss, losses = self._likeness(part.fakes["recon"], part.real, whole, part.weight, "")
        if part.blend is not None:
            likeness, found = self._likeness(part.fakes["blend"], part.blend.target, part.blend.known,
                                             part.blend_weight, " blend")
            loss, losses = loss + config.blend_weight * likeness, losses | found
        if alone:
            return loss, losses
        names = {"recon": "G recon", "sample": "G", "blend": "G blend"}
        weights = {"recon": 1.0, "sample": config.sample_weight, "blend": config.blend_weight}
        scores = judged(trainer.discriminator, *(self._seen(trainer, fake, part.seeds, 4 + i)
                                                 for i, fake in enumerate(part.fakes.values())))
        for i, kind in enumerate(part.fakes):
            losses[names[kind]] = self.maker_loss(scores[i])
            loss = loss + config.adversarial_weight * weights[kind] * losses[names[kind]]
        if part.mapped is None:
            return loss, losses
        indomain = self.indomain_loss(trainer.generator, part)
        return loss + config.indomain_weight * indomain, losses | {"in domain": indomain}

    @staticmethod
    def indomain_loss(net: StyleMapGAN, part: Part) -> Tensor:
        """Between sampled style maps and what the encoder makes of their pictures; it moves the encoder alone."""
        return F.mse_loss(net.encode(part.fakes["sample"].detach()), part.mapped.detach())

    def _likeness(self, fake: Tensor, wanted: Tensor, known: Tensor, weight: Tensor,
                  name: str) -> tuple[Tensor, dict[str, Tensor]]:
        """MSE, mean absolute difference and perceptual distance, over the pixels that are known.

        weight: of the pixels, for the first two; the MSE that is returned is without it.
        """
        config = self.config
        gap = (fake.float() - wanted) * known
        mse, l1 = (gap.square() * weight).mean(), (gap.abs() * weight).mean()
        loss, losses = config.mse_weight * mse + config.l1_weight * l1, {f"MSE{name}": gap.square().mean()}
        if self.perceptual is not None:
            target = torch.lerp(fake.detach().float(), wanted, known)
            seen = self.perceptual(fake, target, torch.ones_like(known)).mean()
            loss, losses = loss + config.perceptual_weight * seen, losses | {f"LP{name}": seen}
        return loss, losses

    # ---- what a person sees -------------------------------------------------------------------
    def grid(self, net: StyleMapGAN, held: HeldOut) -> Tensor:
        """One row a picture: it, its reconstruction, four edits with the next picture's features, two samples."""
        images = held.images[:GRID_ROWS].to(held.device).float() / 127.5 - 1
        own = net.expand(net.encode(images))
        other = [level.roll(-1, 0) for level in own]
        masks = [self._box(box, held.device) for box in BOXES]
        edits = [net.decode(stylemaps.blend(net, own, other, mask)) for mask in masks]
        samples = [net.decode(stylemaps.sample(net, range(at, at + len(images)), psi)).to(images.device)
                   for at, psi in ((0, 0.7), (len(images), 1.0))]
        columns = torch.cat([images, net.decode(own), *edits, *samples], dim=3)
        return to_bytes(torch.cat(list(columns), dim=1)).permute(1, 2, 0).cpu().contiguous()

    def _box(self, box: Sequence[float], device: torch.device) -> Tensor:
        """top, bottom, left, right as shares of the side -> mask [1,1,R,R]."""
        top, bottom, left, right = (round(value * self.resolution) for value in box)
        mask = torch.zeros(1, 1, self.resolution, self.resolution, device=device)
        mask[..., top:bottom, left:right] = 1
        return mask

    @torch.inference_mode()
    def measure(self, net: StyleMapGAN, held: HeldOut) -> dict[str, float]:
        """MSE of reconstructions, MSE_src and MSE_ref of edits in a box (on [-1,1]); FD-Lite0 of samples."""
        mask = self._box(BOXES[1], held.device)
        sums, fakes = torch.zeros(3, device=held.device), []
        for at in range(0, len(held.images), 32):
            real = held.images[at:at + 32].to(held.device).float() / 127.5 - 1
            own, other = net.expand(net.encode(real)), real.roll(-1, 0)
            edited = net.decode(stylemaps.blend(net, own, [level.roll(-1, 0) for level in own], mask))
            gaps = [(net.decode(own) - real).square().mean(), _mse(edited, real, 1 - mask), _mse(edited, other, mask)]
            sums += torch.stack(gaps) * len(real)
            fakes.append(to_bytes(net.decode(stylemaps.sample(net, range(at, at + len(real)), 1.0))).cpu())
        found = dict(zip(("MSE", "MSE_src", "MSE_ref"), (sums / len(held.images)).tolist(), strict=True))
        return found | held.fd(torch.cat(fakes))


BOXES = ((0.0, 0.4, 0.0, 1.0), (0.35, 0.65, 0.2, 0.8), (0.7, 1.0, 0.0, 1.0), (0.0, 1.0, 0.5, 1.0))
"""Where the grid's edits take from the next picture: above, in the middle, below, right half."""


def _mse(a: Tensor, b: Tensor, mask: Tensor) -> Tensor:
    """Mean squared difference of [N,C,H,W] under a mask [1,1,H,W]."""
    return ((a - b).square() * mask).mean() / mask.mean()
