"""What a run consists of, how a step is taken and how all of it is saved. Knows no recipe."""
from __future__ import annotations

import copy
import errno
import json
import logging
import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..checkpoints import import_checkpoint
from ..checkpoints.store import open_fact
from ..errors import CoModError
from ..files import atomic_write, sha256_of
from ..networks.layers import ResidualDown
from .augment import Augment
from .data import Pictures
from .losses import r1_penalty
from .place import Place
from .recorded import Ahead, RecordedSteps, check_recordable
from .transfer import plain, take

log = logging.getLogger("comod")
PARTS = ("generator", "discriminator", "ema", "g_optimizer", "d_optimizer")


class Trainer:
    """Networks, averages and optimisers of one run. A recipe's `step` moves them; this class keeps and saves them.

    recipe: see `recipes`; images uint8 [N,R,R,C]; beside: the arrays that `recipe.beside` names. Raises CoModError when
    the pictures' size is not the network's or an array is missing.
    """

    def __init__(self, recipe, images: np.ndarray, place: Place | None = None,
                 beside: Mapping[str, np.ndarray] | None = None):
        self.config = config = recipe.config
        self.recipe, self.place = recipe, place or Place(config.precision)
        r = recipe.resolution
        if images.shape[1:3] != (r, r):
            raise CoModError(f"Training pictures have shape {list(images.shape)}, the network takes {r}x{r}. "
                             f"Prepare them with: comod dataset FOLDER --size {r} --out DIR.")
        torch.manual_seed(config.seed)
        missing = [f"{name}.npy" for name in recipe.beside if name not in (beside or {})]
        if missing:
            raise CoModError(f"Training: the recipe {config.recipe} needs {', '.join(missing)} "
                             "beside the pictures. docs/training.md says how each is made.")
        self.pictures = Pictures(images, config.seed, config.mirror, beside)
        generator, discriminator = recipe.networks(config)
        recipe.initialise(generator)
        there = {"device": self.place.device, "memory_format": torch.channels_last}
        self.generator, self.discriminator = generator.to(**there), discriminator.to(**there)
        if recipe.perceptual is not None:
            recipe.perceptual.to(**there)
        self.ema = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self.augment = Augment(config.augment, config.ada_target, config.ada_kimg)
        self.step = 0
        self.begun: dict[str, Any] = {}     # the file whose weights the run began with
        self._frozen = _highest_blocks(self.discriminator, config.freeze_d)
        if config.cuda_graphs:
            check_recordable(config, recipe, self.place.device, self.place.world)
        adam = {"fused": True, "capturable": config.cuda_graphs}
        self.g_optimizer = self.place.prepare(torch.optim.Adam(self.generator.parameters(), **adam))
        self.d_optimizer = self.place.prepare(torch.optim.Adam(self.discriminator.parameters(), **adam))
        self._take_step = RecordedSteps() if config.cuda_graphs else recipe.step
        # a CPU that trains has no time left to draw beside it
        self._ahead = None if self.place.device.type == "cpu" else Ahead(self._draw)
        recipe.begin(self)

    @property
    def images_seen(self) -> int:
        return self.step * self.config.batch

    def run_step(self) -> dict[str, float]:
        """One update of all networks. Returns the losses, averaged over the processes.

        Raises CoModError when a loss is not finite.
        """
        torch.manual_seed(int(np.random.default_rng((self.config.seed, 5, self.step)).integers(2 ** 63)))
        self._set_rates()
        found = self._take_step(self)
        if self._ahead is not None:
            self._ahead.begin(self.step + 1)
        values = self.place.mean(torch.stack([value.float() for value in found.values()])).tolist()
        losses = dict(zip(found, values, strict=True))
        bad = {name: value for name, value in losses.items() if not np.isfinite(value)}
        if bad:
            raise CoModError(f"Training: loss {bad} at step {self.step}. What was saved before is good: lower the "
                             "learning rate or raise r1_gamma, and start again; it goes on from its last snapshot.")
        self._update_averages()
        self.step += 1
        if self.step % Augment.interval == 0:
            self.augment.adjust(self.place.mean, Augment.interval * self.config.batch)
        return losses

    def drawn(self) -> list[Any]:
        """What the host draws for this step, by parts of the batch (`Recipe.draw`)."""
        return self._draw(self.step) if self._ahead is None else self._ahead(self.step)

    def _draw(self, step: int) -> list[Any]:
        config = self.config
        return [self.recipe.draw(self, step, rows) for rows in self.place.parts(config.batch, config.accumulate)]

    def _set_rates(self) -> None:
        """The settings' rates, whatever those of a snapshot were: a run may go on with others."""
        config = self.config
        left = config.total_kimg * 1000 - self.images_seen
        share = min(1.0, left / (config.decay_kimg * 1000)) if config.decay_kimg else 1.0
        critic_rate = config.learning_rate if config.critic_rate is None else config.critic_rate
        # lazy regularisation: D takes one extra step in r1_interval, its rates are corrected for it (StyleGAN2, B)
        c = config.r1_interval / (config.r1_interval + 1) if config.r1_gamma else 1.0
        beta1 = config.adam_beta1 if config.generator_beta1 is None else config.generator_beta1
        for optimizer, value, betas in (
                (self.g_optimizer, config.learning_rate, (beta1, config.adam_beta2)),
                (self.d_optimizer, critic_rate * c, (config.adam_beta1 ** c, config.adam_beta2 ** c))):
            for group in optimizer.param_groups:
                group["betas"] = betas
                if not config.cuda_graphs:
                    group["lr"] = value * share
                elif isinstance(group["lr"], Tensor) and group["lr"].device == self.place.device:
                    group["lr"].fill_(value * share)        # where a recorded step finds it
                else:
                    group["lr"] = torch.tensor(value * share, device=self.place.device)

    # ---- what recipes use ---------------------------------------------------------------------
    def wake_discriminator(self, on: bool) -> None:
        """Let the discriminator's parameters take gradients, but those that are frozen, or none of them."""
        self.discriminator.requires_grad_(on)
        for module in self._frozen:
            module.requires_grad_(False)

    def update(self, optimizer: torch.optim.Optimizer, parts: Sequence[Any],
               losses_of: Callable[[Any], tuple[Tensor, dict[str, Tensor]]]) -> dict[str, Tensor]:
        """One step by the mean loss of the parts of a batch. losses_of(part): the loss, and what to report by name.

        Returns the means of what is reported.
        """
        totals: dict[str, Tensor] = {}
        for part in parts:
            with self.place.autocast():
                loss, losses = losses_of(part)
            self.place.backward(loss / len(parts))
            for name, value in losses.items():
                totals[name] = totals.get(name, 0.0) + value.detach() / len(parts)
        self.descend(optimizer)
        return totals

    def penalise(self, parts: Sequence[Any],
                 scored: Callable[[Any], tuple[Callable[[Tensor], Tensor], Tensor]]) -> dict[str, Tensor]:
        """The lazy R1 step of the discriminator, in its turn. scored(part): the function of scores, and real pictures.

        Returns {"R1": mean penalty}, or nothing where it is not its turn.
        """
        config, total = self.config, 0.0
        if not config.r1_gamma or self.step % config.r1_interval:
            return {}
        for part in parts:
            penalty = r1_penalty(*scored(part)) / len(parts)
            self.place.backward(penalty * (config.r1_gamma / 2 * config.r1_interval))
            total = total + penalty.detach()
        self.descend(self.d_optimizer)
        return {"R1": total}

    def descend(self, optimizer: torch.optim.Optimizer) -> None:
        """Take one step by the gradients averaged over the processes, and clear them."""
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self.place.average_gradients(parameters)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    @torch.no_grad()
    def follow_w(self, w: Tensor) -> None:
        """Move w_avg towards the latents [N,w_dim] of this step (half-life as in StyleGAN2)."""
        self.generator.w_avg.lerp_(self.place.mean(w.float().mean(dim=0)), 1 - 0.998 ** (self.config.batch / 16))

    @torch.no_grad()
    def _update_averages(self) -> None:
        config = self.config
        half_life = config.ema_kimg * 1000
        if config.ema_rampup is not None:
            half_life = min(half_life, self.images_seen * config.ema_rampup)
        beta = 0.5 ** (config.batch / max(half_life, 1e-8))
        torch._foreach_lerp_(list(self.ema.parameters()), list(self.generator.parameters()), 1 - beta)
        for average, buffer in zip(self.ema.buffers(), self.generator.buffers(), strict=True):
            average.copy_(buffer)

    # ---- beginnings ---------------------------------------------------------------------------
    def start_from(self, path: str | Path) -> list[str]:
        """Take the weights of a model file (generator, and discriminator where it has one) instead of random ones.

        A network of another resolution gives the layers of the resolutions that both have, a narrower one of the same
        resolution the first channels of every layer (`transfer.take`). Returns the names of the layers that stay new.
        Raises CoModError when the file cannot be read or nothing fits.
        """
        found = import_checkpoint(path)
        facts = found.metadata
        self.begun = {"file": Path(path).name, "sha256": facts.get("source_sha256") or sha256_of(path)}
        self.begun |= {name: open_fact(facts[name]) for name in ("name", "steps", "training", "begun", "earlier")
                       if name in facts}
        fresh = [f"generator.{name}" for name in take(self.generator, found.generator)]
        weights = {f"generator.{plain(name)}" for name in self.generator.state_dict()}
        weights = {name for name in weights if name.endswith("weight")}
        if weights <= set(fresh):
            raise CoModError(f"{path}: no layer of it fits this network ({self.config.network}). Start from a file of "
                             "the same architecture and width.")
        self.recipe.initialise(self.generator)
        self.ema.load_state_dict(self.generator.state_dict())
        if found.discriminator is None:
            log.warning("%s has no discriminator: a new one is trained.", path)
            return fresh
        return fresh + [f"discriminator.{name}" for name in take(self.discriminator, found.discriminator)]

    # ---- snapshots ----------------------------------------------------------------------------
    def save(self, path: str | Path) -> None:
        """Everything that a resume needs, written to a temporary name and renamed.

        Raises CoModError when it cannot be written (disk full, no permission); the snapshot before stays.
        """
        state = {name: getattr(self, name).state_dict() for name in PARTS}
        scaler = self.place.accelerator.scaler
        state |= {"step": self.step, "begun": self.begun, "config": self.config.to_json(), "augment_p": self.augment.p,
                  "scaler": scaler.state_dict() if scaler is not None else {}}
        try:
            with atomic_write(path) as file:
                torch.save(state, file)
        except (OSError, RuntimeError) as error:
            why = "the disk is full" if getattr(error, "errno", None) == errno.ENOSPC else str(error)
            raise CoModError(f"{path}: the snapshot was not written ({why}). Make room and start again; one "
                             "that was written before is whole, and the run goes on from it.") from error

    def restore(self, path: str | Path) -> None:
        """Load a snapshot of `save`. Raises CoModError when the file is not one or is of another network."""
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            for name in PARTS:
                getattr(self, name).load_state_dict(state[name])
            self.step, self.augment.p = state["step"], state.get("augment_p", self.augment.p)
            self.begun = state.get("begun", {})
            if self.place.accelerator.scaler is not None and state.get("scaler"):
                self.place.accelerator.scaler.load_state_dict(state["scaler"])
        except (RuntimeError, KeyError, OSError, ValueError, EOFError, pickle.UnpicklingError) as error:
            raise CoModError(f"{path}: cannot resume from this snapshot ({error}).") from error
        before, now = json.loads(state["config"]), json.loads(self.config.to_json())
        for name in now:
            if name in before and before[name] != now[name]:
                log.warning("%s was %s when the snapshot was written and is %s now.", name, before[name], now[name])


def _highest_blocks(discriminator: nn.Module, count: int) -> list[nn.Module]:
    """The discriminator's first layers: from RGB and the blocks of its `count` highest resolutions."""
    if count == 0:
        return []
    blocks = [block for block in discriminator.modules() if isinstance(block, ResidualDown)]
    if count > len(blocks):
        raise CoModError(f"Training: freeze_d {count} is more than the {len(blocks)} resolutions of the discriminator "
                         "that can be kept.")
    return [discriminator.from_rgb, *blocks[:count]]
