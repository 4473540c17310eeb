"""Make a style map fit its photo better by optimisation, where the encoder's guess is not close enough."""
from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .errors import CoModError
from .masks import as_mask

WARM_UP, COOL_DOWN = 0.05, 0.25  # shares of the steps in which the rate rises and falls
COARSE_SIZES = 3                 # the error is also measured at a half, a quarter and an eighth of the size


@dataclass(frozen=True)
class Refinement:
    """State after `step` of `steps` steps: the best map so far [N,C,s,s] and its loss, one a picture.

    Step 0 is the map that it started from, so the best is never worse than that. done: whether it was the last step.
    """

    step: int
    steps: int
    style_map: Tensor
    loss: tuple[float, ...]

    @property
    def done(self) -> bool:
        return self.step == self.steps


def refine(net, image: Tensor, style_map: Tensor | None = None, *, steps: int = 100, rate: float = 0.05,
           stay: float = 0.05, weight: Tensor | None = None,
           distance: Callable[[Tensor, Tensor], Tensor] | None = None,
           progress: Callable[[int, int, Tensor | None], None] | None = None) -> Iterator[Refinement]:
    """Optimise style maps so that they decode to `image`; yields after every step, the start included.

    image [N,3,R,R] in [-1,1]. style_map: where to start, None what the encoder says. rate: of Adam, in standard
    deviations of the map a step. stay: weight of the mean squared way from the start, in the same unit: maps far from
    the encoder's edit badly. weight [1 or N,1,R,R] in [0,1]: where the picture counts. distance(decoded, image) -> [N]:
    added to the loss, for a perceptual one. progress(done, total, None) is called after each step; what it raises stops
    the work, and so does leaving the loop: what was yielded last is the best so far.
    The same arguments give the same maps. Works under torch.inference_mode. Raises CoModError at the call.
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= 100_000:
        raise CoModError(f"steps is {steps!r}: give a whole number from 1 to 100000.")
    for name, value in (("rate", rate), ("stay", stay)):
        if not 0 <= value < math.inf:
            raise CoModError(f"{name} is {value!r}: give a number of at least 0.")
    if any(parameter.is_inference() for parameter in net.parameters()):
        raise CoModError("refine: this network was made in torch.inference_mode and cannot be differentiated: load it "
                         "with load_model.")
    with torch.no_grad():
        start = net.encode(image.to(net.w_avg.device)) if style_map is None else style_map
    search = _Search(net, image, start, weight, rate, stay, distance)

    def states() -> Iterator[Refinement]:
        for step in range(steps + 1):
            search.measure(advance=_schedule(step / steps) if step < steps else None)
            if progress and step:
                progress(step, steps, None)
            yield Refinement(step, steps, search.best.clone(), tuple(search.loss.tolist()))

    return states()


def _schedule(share: float) -> float:
    """Factor of the rate: a short rise, then full, then a half cosine down to 0 (Karras et al. 2020, Appendix D)."""
    fall = 0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - share) / COOL_DOWN))
    return fall * min(1.0, (share + 1e-3) / WARM_UP)


class _Search:
    """Adam on the way from the start, in standard deviations of each map, with the best of every picture so far."""

    def __init__(self, net, image: Tensor, start: Tensor, weight: Tensor | None, rate: float, stay: float, distance):
        device = net.w_avg.device
        if len(start) != len(image) or image.shape[1:] != (net.image_channels, net.resolution, net.resolution):
            raise CoModError(f"refine: pictures of shape {list(image.shape)} and style maps of shape "
                             f"{list(start.shape)}: give as many of both, the pictures at the model's size.")
        with torch.inference_mode(False):  # a clone made here can be differentiated through, whatever the caller's mode
            self.image, self.start = (x.detach().to(device, torch.float32).clone() for x in (image, start))
            ones = torch.ones_like(self.image[:1, :1])
            self.weight = ones if weight is None else as_mask(weight, "weight").to(device).clone()
            self.unit = self.start.flatten(1).std(dim=1).clamp_min(1e-6).reshape(-1, 1, 1, 1)
            self.way = torch.zeros_like(self.start, requires_grad=True)
            self.optimizer = torch.optim.Adam([self.way], lr=rate)
            self.best = self.start.clone()
            self.loss = torch.full([len(start)], math.inf, device=device)
        if self.weight.shape[-2:] != self.image.shape[-2:] or len(self.weight) not in (1, len(image)):
            raise CoModError(f"refine: weight has shape {list(self.weight.shape)}; give it the pictures' size.")
        self.net, self.rate, self.stay, self.distance = net, rate, stay, distance

    def measure(self, advance: float | None) -> None:
        """Measure the present maps, keep the best, and where asked take a step at `advance` times the rate."""
        with torch.inference_mode(False), torch.set_grad_enabled(advance is not None):
            style_map = self.start + self.unit * self.way
            decoded = self.net.decode(style_map.to(self.net.w_avg.dtype)).float()
            loss = self.losses(decoded) + self.stay * self.way.square().flatten(1).mean(dim=1)
            with torch.no_grad():
                better = loss < self.loss
                self.best[better], self.loss[better] = style_map[better], loss[better]
            if advance is not None:
                self.optimizer.zero_grad()
                loss.sum().backward()
                self.optimizer.param_groups[0]["lr"] = self.rate * advance
                self.optimizer.step()

    def losses(self, decoded: Tensor) -> Tensor:
        """One loss a picture: weighted squared error, averaged over the size and coarser ones, [N]."""
        error, total = (decoded - self.image) * self.weight, 0.0
        for factor in range(1 + COARSE_SIZES):
            pooled = F.avg_pool2d(error, 2 ** factor) if factor else error
            total = total + pooled.square().flatten(1).mean(dim=1)
        total = total / (1 + COARSE_SIZES) / self.weight.flatten(1).mean(dim=1).clamp_min(1e-6)
        return total if self.distance is None else total + self.distance(decoded, self.image)
