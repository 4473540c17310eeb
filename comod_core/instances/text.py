"""Guidance by a text: z, and the instance's feature, are moved until a CLIP finds that the picture fits the text."""
from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import latents
from ..checks import check_sampling, check_seeds
from ..errors import CoModError
from .clip import Clip
from .generation import Progress, check_generator, draw, finished, placed, rows_for

SMALLEST_VIEW = 0.6     # side of the views that a CLIP is shown, as a share of the picture's
WARM_UP = 0.05          # share of the steps in which the rate rises


@dataclass(frozen=True)
class Guided:
    """The best after `step` of `steps` steps: image [1,C,R,R] float32 on the CPU, in [-1,1], and what made it.

    similarity: cosine of the whole picture with the text, -1 to 1. z [1,z_dim], feature [1,F] of unit length or None.
    before: similarity of the seed's own picture, from which the way began.
    """

    step: int
    steps: int
    image: Tensor
    similarity: float
    before: float
    seed: int
    z: Tensor
    feature: Tensor | None

    @property
    def done(self) -> bool:
        return self.step == self.steps


def guide(net, clip: Clip, text: str, seed: int, feature: Tensor | None = None, label: int | Tensor | None = None, *,
          steps: int = 100, rate: float = 0.05, stay: float = 0.1, views: int = 4, psi: float = 1.0,
          noise_mode: str = "const", progress: Progress | None = None) -> Iterator[Guided]:
    """Optimise the z of a seed and the feature of an instance towards a text; yields the best after every step.

    Step 0 is the seed's own picture, so the best is never worse. Both move on their spheres, so that they keep their
    length. feature [F], where the network takes one. rate: of Adam, in root mean squares of z and the feature a step.
    stay: weight of 1 - the cosine between the moved feature and the instance's, so that its look remains. views: random
    parts of the picture that the CLIP is shown besides the whole. progress(step, steps, image) is called after each
    step; what it raises stops the work, and so does leaving the loop: what was yielded last is the best so far.
    The same arguments give the same pictures. Works under torch.inference_mode. Raises CoModError at the call.
    """
    check_generator(net)
    check_sampling(net, psi, None, noise_mode)
    seed, = check_seeds(seed)
    for name, value, least, most in (("steps", steps, 1, 100_000), ("views", views, 0, 256)):
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise CoModError(f"{name} is {value!r}: give a whole number from {least} to {most}.")
    for name, value in (("rate", rate), ("stay", stay)):
        if not 0 <= value < math.inf:
            raise CoModError(f"{name} is {value!r}: give a number of at least 0.")
    if any(parameter.is_inference() for parameter in (*net.parameters(), *clip.model.parameters())):
        raise CoModError("a network that was made in torch.inference_mode cannot be differentiated: load it with "
                         "load_model.")
    (row,), (label,) = rows_for(net, feature, label, 1)
    search = _Search(net, clip, text, seed, row, label, stay, views, {"psi": psi, "noise_mode": noise_mode})
    optimizer = torch.optim.Adam(search.ways, lr=rate)

    def states() -> Iterator[Guided]:
        for step in range(steps + 1):
            search.measure(step)
            if step < steps:
                optimizer.param_groups[0]["lr"] = rate * _schedule(step / steps)
                optimizer.step()
            best = search.best(step, steps)
            if progress and step:
                progress(step, steps, best.image)
            yield best

    return states()


def _schedule(share: float) -> float:
    """Factor of the rate: a short rise, then a half cosine down to 0."""
    return min(1.0, (share + 0.01) / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * share))


class _Search:
    """z and feature on their way, and the best of what was measured."""

    def __init__(self, net, clip: Clip, text: str, seed: int, feature: Tensor | None, label: Tensor | None,
                 stay: float, views: int, settings: dict):
        self.net, self.clip, self.seed, self.stay, self.views, self.settings = net, clip, seed, stay, views, settings
        self.place = next(net.parameters())
        self.views_of = latents.generators([seed], "views")[0]
        with torch.inference_mode(False):  # what is cloned here can be differentiated through, in any mode
            starts = [draw(net, seed), *([] if feature is None else [feature])]
            self.starts = [start.clone().to(self.place.device, torch.float32) for start in starts]
            self.ways = [torch.zeros_like(start, requires_grad=True) for start in self.starts]
            self.label, self.text = None if label is None else label.clone(), clip.text(text)
        self.score, self.before, self.found = -math.inf, None, None

    def points(self) -> list[Tensor]:
        """z, and the feature where there is one, on the spheres of their starts. A way of 1 is their mean square."""
        moved = []
        for start, way in zip(self.starts, self.ways, strict=True):
            length = start.norm()
            point = start + way * length / math.sqrt(start.shape[1])
            moved.append(point * (length / point.norm()))  # without a way exactly the start
        return moved

    def measure(self, step: int) -> None:
        """Make the present picture, keep it if it is the best, and leave the gradient at the ways."""
        with torch.inference_mode(False), torch.enable_grad():
            z, *features = self.points()
            feature = features[0] if features else None
            noise = latents.generators([self.seed], "noise")
            image = self.net.generate(*(placed(x, self.place) for x in (z, feature, self.label)), generators=noise,
                                      **self.settings).float().clamp(-1, 1)
            similar = self.clip.images(self._views(image)) @ self.text.to(self.clip.place.device)[0]
            strayed = (1 - F.cosine_similarity(feature, self.starts[1])).sum() if features else z.new_zeros([])
            penalty = self.stay * strayed.to(similar.device)
            for way, slope in zip(self.ways, torch.autograd.grad(penalty - similar.mean(), self.ways), strict=True):
                way.grad = slope
        likeness = float(similar[0].detach())
        score = likeness - float(penalty.detach())
        self.before = likeness if self.before is None else self.before
        if score > self.score:
            kept = [None if x is None else x.detach().to("cpu", torch.float32, copy=True) for x in (z, feature)]
            self.score, self.found = score, (finished(image.detach()), likeness, *kept)

    def best(self, step: int, steps: int) -> Guided:
        image, similarity, z, feature = self.found
        return Guided(step, steps, image, similarity, self.before, self.seed, z, feature)

    def _views(self, image: Tensor) -> Tensor:
        """The whole picture, then random squares of it, each at the CLIP's size: [1 + views,3,S,S]."""
        image, size = image[:, :3].expand(-1, 3, -1, -1), (self.clip.size, self.clip.size)
        parts = [image]
        for _ in range(self.views):
            share, top, left = torch.rand(3, generator=self.views_of).tolist()
            side = max(1, round(image.shape[-1] * (SMALLEST_VIEW + (1 - SMALLEST_VIEW) * share)))
            room = image.shape[-1] - side
            top, left = round(top * room), round(left * room)
            parts.append(image[..., top:top + side, left:left + side])
        return torch.cat([F.interpolate(part, size, mode="bicubic", antialias=True, align_corners=False)
                          for part in parts])
