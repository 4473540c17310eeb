"""What the loop asks of every recipe, with what most of them answer."""
from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

from ..config import TrainConfig
from ..place import moved


class Recipe:
    """An architecture and a job: its networks and the losses of one step.

    Attributes: config; resolution, side of the pictures in pixels; perceptual, a frozen network that the trainer moves
    to its device, or None; beside, names of the arrays that are needed next to images.npy; command, one that takes
    what is trained.
    """

    config_type: ClassVar[type[TrainConfig]]
    network_type: ClassVar[type]
    command: ClassVar[str] = "comod complete"
    beside: tuple[str, ...] = ()
    recordable: ClassVar[bool] = False      # whether `update` can be recorded as a CUDA graph
    perceptual: nn.Module | None = None

    def __init__(self, config):
        self.config, self.resolution = config, config.network.resolution

    @classmethod
    def network_config(cls, fields: Mapping[str, Any]) -> Any:
        """The network's configuration from the settings as JSON holds them."""
        return cls.network_type(**{name: tuple(value) if isinstance(value, list) else value
                                   for name, value in fields["network"].items()})

    @staticmethod
    def networks(config) -> tuple[nn.Module, nn.Module]:
        """Generator (all that its optimiser moves) and discriminator of these settings, with fresh weights."""
        raise NotImplementedError

    @classmethod
    def preset(cls, size: int, pictures: int, *, paper: bool = False):
        """Settings to begin with, for so many pictures of size x size. paper: those of the publication; for a GPU."""
        raise NotImplementedError

    @classmethod
    def for_set(cls, config, folder: Path):
        """The preset for the prepared set in `folder`, where the set says something that counts."""
        return config

    @staticmethod
    def plain(net: nn.Module) -> nn.Module:
        """A trained network as files hold it."""
        return net

    @classmethod
    def facts(cls, config) -> dict[str, str]:
        """What a model file says beside its name and licence."""
        return {}

    def complete_data(self, folder: Path, images: np.ndarray, report: Callable[[str], None]) -> None:
        """Make the arrays of `beside` that the set in `folder` has not and that follow from its pictures."""

    def initialise(self, generator: nn.Module) -> None:
        """Called when the generator's weights are random, and again when those of a model file have come in."""

    def begin(self, trainer) -> None:
        """Called once when the trainer stands."""

    def step(self, trainer) -> dict[str, Tensor]:
        """One update of all networks. Returns the losses as scalars on the device."""
        parts = [moved(part, trainer.place.device) for part in trainer.drawn()]
        return self.update(trainer, parts, *self.stage(trainer.images_seen))

    def draw(self, trainer, step: int, rows: Sequence[int]) -> Any:
        """What the host draws for these rows of a step, a dataclass of tensors on the CPU: a function of the seed, the
        step and the rows alone."""
        raise NotImplementedError

    def stage(self, images_seen: int) -> tuple[Hashable, ...]:
        """All that changes from one step's work to another's beside what is drawn."""
        return ()

    def update(self, trainer, parts: Sequence[Any], *stage) -> dict[str, Tensor]:
        """The work of a step on what was drawn, now on the device. Returns the losses as scalars there."""
        raise NotImplementedError

    def grid(self, net: nn.Module, held) -> Tensor:
        """Samples of the averaged generator for `watch.HeldOut`'s first pictures: uint8 [H,W,3]."""
        raise NotImplementedError

    def measure(self, net: nn.Module, held) -> dict[str, float]:
        """Numbers of the averaged generator on all of `watch.HeldOut`."""
        return {}
