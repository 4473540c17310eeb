"""The training loop: everything random is a function of (seed, step), so a killed run resumes to the same losses."""
from __future__ import annotations

import copy
import dataclasses
import pickle
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..checkpoints import import_checkpoint
from ..errors import CoModError
from ..files import atomic_write
from ..networks import CoModDiscriminator, CoModGenerator
from .config import TrainConfig
from .data import Pictures, hole_batch
from .losses import best_of, discriminator_loss, generator_loss, hole_l1, r1_penalty
from .perceptual import PerceptualDistance


@dataclasses.dataclass
class Progress:
    """What one step reports: images seen, losses as floats, images per second since the run was started."""

    step: int
    images: int
    losses: dict[str, float]
    speed: float


class Trainer:
    """Networks, averages and optimisers of one run, and the step that moves them."""

    def __init__(self, config: TrainConfig, images: np.ndarray):
        r = config.network.resolution
        if images.shape[1:3] != (r, r):
            raise CoModError(f"Training pictures have shape {list(images.shape)}, the network takes {r}x{r}. "
                             "Render or resize them to that size.")
        torch.manual_seed(config.seed)
        self.config = config
        self.pictures = Pictures(images, config.seed, config.mirror)
        self.generator = CoModGenerator(config.network).to(memory_format=torch.channels_last)
        self.discriminator = CoModDiscriminator(config.network).to(memory_format=torch.channels_last)
        self.ema = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self.perceptual = PerceptualDistance() if config.perceptual_weight else None
        self.step = 0
        betas = (config.adam_beta1, config.adam_beta2)
        # lazy regularisation: D takes one extra step in r1_interval, its rates are corrected for it (StyleGAN2, B)
        c = config.r1_interval / (config.r1_interval + 1)
        self.g_optimizer = torch.optim.Adam(self.generator.parameters(), config.learning_rate, betas, fused=True)
        self.d_optimizer = torch.optim.Adam(self.discriminator.parameters(), config.learning_rate * c,
                                            (betas[0] ** c, betas[1] ** c), fused=True)

    @property
    def images_seen(self) -> int:
        return self.step * self.config.batch

    def run_step(self) -> dict[str, float]:
        """One update of G and D. Returns the losses. Raises CoModError when a loss is not finite."""
        config = self.config
        torch.manual_seed(int(np.random.default_rng((config.seed, 3, self.step)).integers(2 ** 63)))
        real = self.pictures.batch(self.step, config.batch).contiguous(memory_format=torch.channels_last)
        mask = hole_batch(config, self.step, config.batch)
        wanted = self._holes_of_fakes(real, mask)
        fake, w = self._generate(*wanted)
        alone = self.images_seen < config.l1_only_kimg * 1000
        losses = {} if alone else self._update_discriminator(real, mask, fake.detach(), wanted[1])
        losses |= self._update_generator(fake, *wanted, alone)
        bad = {name: value for name, value in losses.items() if not np.isfinite(value)}
        if bad:
            raise CoModError(f"Training: loss {bad} at step {self.step}. The last snapshot is good; "
                             "lower the learning rate or raise r1_gamma and resume from it.")
        self._update_averages(w)
        self.step += 1
        return losses

    def _generate(self, real: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        config, net = self.config, self.generator
        z = torch.randn(2, len(real), net.z_dim)
        w = net.map(z[0])
        mixed = torch.rand(len(real), 1, 1) < config.style_mixing
        cut = torch.randint(1, net.num_layers, [len(real), 1, 1])
        other = mixed & (torch.arange(net.num_layers)[None, :, None] >= cut)
        styles = torch.where(other, net.map(z[1]), w)
        fake = net.decode(net.encode(real, mask), styles, config.noise_mode)
        return fake, w[:, 0].detach()

    def _holes_of_fakes(self, real: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        # neighbours share a hole; the groups of minibatch_std are strided, so no group sees one picture twice
        k = self.config.samples_per_hole
        return (real, mask) if k == 1 else tuple(x[:len(x) // k].repeat_interleave(k, dim=0) for x in (real, mask))

    def _update_discriminator(self, real: Tensor, mask: Tensor, fake: Tensor, fake_mask: Tensor) -> dict[str, float]:
        config, d = self.config, self.discriminator
        d.requires_grad_(True)
        self.d_optimizer.zero_grad(set_to_none=True)
        loss = discriminator_loss(d(real, mask), d(fake, fake_mask))
        loss.backward()
        self.d_optimizer.step()
        losses = {"D": loss.item()}
        if self.step % config.r1_interval == 0:
            self.d_optimizer.zero_grad(set_to_none=True)
            penalty = r1_penalty(lambda x: d(x, mask), real)
            (penalty * (config.r1_gamma / 2 * config.r1_interval)).backward()
            self.d_optimizer.step()
            losses["R1"] = penalty.item()
        return losses

    def _update_generator(self, fake: Tensor, wanted: Tensor, mask: Tensor, alone: bool) -> dict[str, float]:
        config = self.config
        self.g_optimizer.zero_grad(set_to_none=True)
        l1 = hole_l1(fake, wanted, mask)
        distance, losses = self._l1_weight() * l1, {"L1": l1.mean().item()}
        if self.perceptual is not None:
            seen = self.perceptual(fake, wanted, mask)
            distance, losses = distance + config.perceptual_weight * seen, losses | {"LP": seen.mean().item()}
        loss = best_of(distance, config.samples_per_hole)
        if not alone:
            self.discriminator.requires_grad_(False)
            adversarial = generator_loss(self.discriminator(fake, mask))
            loss, losses = loss + adversarial, losses | {"G": adversarial.item()}
        loss.backward()
        self.g_optimizer.step()
        return losses

    def _l1_weight(self) -> float:
        # linear from the warm-up weight down to the final one
        config = self.config
        t = min(self.images_seen / max(config.l1_warmup_kimg * 1000, 1), 1.0)
        return config.l1_warmup_weight * (1 - t) + config.l1_weight * t

    @torch.no_grad()
    def _update_averages(self, w: Tensor) -> None:
        config = self.config
        half_life = config.ema_kimg * 1000
        if config.ema_rampup is not None:
            half_life = min(half_life, self.images_seen * config.ema_rampup)
        beta = 0.5 ** (config.batch / max(half_life, 1e-8))
        self.generator.w_avg.lerp_(w.mean(dim=0), 1 - 0.998 ** (config.batch / 16))
        torch._foreach_lerp_(list(self.ema.parameters()), list(self.generator.parameters()), 1 - beta)
        for average, buffer in zip(self.ema.buffers(), self.generator.buffers(), strict=True):
            average.copy_(buffer)

    def start_from(self, path: str | Path) -> None:
        """Take the weights of a model file (generator, and discriminator where it has one) instead of random ones.

        Raises CoModError when the file cannot be read or holds a network of another configuration.
        """
        found = import_checkpoint(path)
        if found.generator.config != self.config.network:
            raise CoModError(f"{path}: its network has the settings {found.generator.config}, the run asks for "
                             f"{self.config.network}. Use the same settings for both.")
        self.generator.load_state_dict(found.generator.state_dict())
        self.ema.load_state_dict(found.generator.state_dict())
        if found.discriminator is not None:
            self.discriminator.load_state_dict(found.discriminator.state_dict())

    # ---- snapshots ----------------------------------------------------------------------------
    def save(self, path: str | Path) -> None:
        """Everything that a resume needs, written to a temporary name and renamed."""
        parts = ("generator", "discriminator", "ema", "g_optimizer", "d_optimizer")
        state = {name: getattr(self, name).state_dict() for name in parts}
        with atomic_write(path) as file:
            torch.save(state | {"step": self.step, "config": self.config.to_json()}, file)

    def restore(self, path: str | Path) -> None:
        """Load a snapshot of `save`. Raises CoModError when the file is not one or is of another network."""
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            for name in ("generator", "discriminator", "ema", "g_optimizer", "d_optimizer"):
                getattr(self, name).load_state_dict(state[name])
            self.step = state["step"]
        except (RuntimeError, KeyError, OSError, ValueError, EOFError, pickle.UnpicklingError) as error:
            raise CoModError(f"{path}: cannot resume from this snapshot ({error}).") from error


def train(config: TrainConfig, images: np.ndarray, out: str | Path,
          on_snapshot: Callable[[Trainer], None] | None = None, start: str | Path | None = None) -> Iterator[Progress]:
    """Train, resuming from `out`/snapshot.pt when it exists, and yield the progress of every step.

    images uint8 [N,R,R,C]. start: a model file whose weights a new run begins with. A snapshot is written
    every `snapshot_minutes` and at the end, then `on_snapshot` is called.
    """
    out = Path(out)
    trainer, snapshot = Trainer(config, images), out / "snapshot.pt"
    if snapshot.exists():
        trainer.restore(snapshot)
    elif start is not None:
        trainer.start_from(start)
    with atomic_write(out / "config.json", "w") as file:
        file.write(config.to_json())
    started, first, saved = time.monotonic(), trainer.images_seen, time.monotonic()
    while trainer.images_seen < config.total_kimg * 1000:
        losses = trainer.run_step()
        now = time.monotonic()
        yield Progress(trainer.step, trainer.images_seen, losses, (trainer.images_seen - first) / (now - started))
        if now - saved > config.snapshot_minutes * 60 or trainer.images_seen >= config.total_kimg * 1000:
            trainer.save(snapshot)
            saved = now
            if on_snapshot is not None:
                on_snapshot(trainer)
