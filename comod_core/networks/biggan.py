"""BigGAN (Brock et al., ICLR 2019) conditioned on an instance (Casanova et al., NeurIPS 2021), on a class, or both.

The networks here have plain weights: a released one's spectral norm is folded in when it is read, and training puts it
on with `spectral_norm` and takes it off with `fold_spectral_norm`.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from ..errors import CoModError
from ..ops import attention
from .fast import FastBigGAN, fast_form
from .layers import NOISE_MODES, check_rows

# Channels of the generator's blocks, in units of `channels` (Brock et al., Appendix B): in, then out.
GENERATOR_PLAN = {32: ((4, 4, 4), (4, 4, 4)), 64: ((16, 16, 8, 4), (16, 8, 4, 2)),
              128: ((16, 16, 8, 4, 2), (16, 8, 4, 2, 1)), 256: ((16, 16, 8, 8, 4, 2), (16, 8, 8, 4, 2, 1)),
              512: ((16, 16, 8, 8, 4, 2, 1), (16, 8, 8, 4, 2, 1, 1))}
# The discriminator's: out, and how many of its blocks halve the picture.
_CRITIC = {32: ((4, 4, 4, 4), 2), 64: ((1, 2, 4, 8, 16), 4), 128: ((1, 2, 4, 8, 16, 16), 5),
           256: ((1, 2, 4, 8, 8, 16, 16), 6), 512: ((1, 1, 2, 4, 8, 8, 16, 16), 7)}


@dataclasses.dataclass(frozen=True)
class BigGANConfig:
    """Hyper-parameters of a BigGAN; the defaults are those of the released 256x256 networks.

    channels: the unit in which the plan of channels is written. z_dim: of all chunks together. feature_size: values of
    an instance feature, 0 where the network takes none; feature_dim: of its embedding. label_size and label_dim: the
    same of classes. attention: resolutions with self-attention. critic_channels: the discriminator's unit, None for the
    generator's.
    """

    resolution: int = 256
    channels: int = 96
    z_dim: int = 119
    feature_size: int = 2048
    feature_dim: int = 512
    label_size: int = 0
    label_dim: int = 128
    attention: tuple[int, ...] = (64,)
    critic_channels: int | None = None
    bn_eps: float = 1e-5
    image_channels: int = 3

    def __post_init__(self):
        object.__setattr__(self, "attention", tuple(self.attention))
        if self.resolution not in GENERATOR_PLAN:
            known = ", ".join(map(str, GENERATOR_PLAN))
            raise CoModError(f"BigGAN: resolution {self.resolution} is not one of {known}.")
        counts = (self.channels, self.z_dim, self.image_channels, self.feature_dim, self.label_dim,
                  1 if self.critic_channels is None else self.critic_channels, self.feature_size + 1,
                  self.label_size + 1, *self.attention)
        if not all(isinstance(count, int) and count > 0 for count in counts) or not 0 < self.bn_eps < 1:
            raise CoModError("BigGAN: channels, widths and resolutions are whole numbers of at least 1.")
        if self.z_dim % self.chunks:
            raise CoModError(f"BigGAN: z of {self.z_dim} values does not divide into {self.chunks} chunks, one for the "
                             "first layer and one a block.")

    @property
    def plan(self) -> list[tuple[int, int, int]]:
        """(channels in, channels out, resolution out) of the generator's blocks."""
        ins, outs = GENERATOR_PLAN[self.resolution]
        return [(a * self.channels, b * self.channels, 8 << i) for i, (a, b) in enumerate(zip(ins, outs, strict=True))]

    @property
    def critic_plan(self) -> list[tuple[int, int, int]]:
        """(channels in, channels out, resolution out) of the discriminator's blocks."""
        outs, halvings = _CRITIC[self.resolution]
        unit = self.channels if self.critic_channels is None else self.critic_channels
        ins = (self.image_channels, *(count * unit for count in outs[:-1]))
        return [(a, b * unit, self.resolution >> min(i + 1, halvings))
                for i, (a, b) in enumerate(zip(ins, outs, strict=True))]

    @property
    def chunks(self) -> int:
        return len(GENERATOR_PLAN[self.resolution][0]) + 1

    @property
    def condition_dim(self) -> int:
        """Width of the condition without its chunk of z."""
        return (self.label_dim if self.label_size else 0) + (self.feature_dim if self.feature_size else 0)


class ConditionalNorm(nn.Module):
    """Batch normalisation whose gain and bias come from the condition: x [N,C,H,W], y [N,D] -> [N,C,H,W].

    gain = 1 + A y, bias = B y. In evaluation mode the stored mean and variance normalise.
    """

    def __init__(self, channels: int, condition_dim: int, eps: float):
        super().__init__()
        self.gain = nn.Linear(condition_dim, channels, bias=False)
        self.bias = nn.Linear(condition_dim, channels, bias=False)
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("var", torch.ones(channels))
        self.eps = eps

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        gain, bias = (1 + self.gain(y))[:, :, None, None], self.bias(y)[:, :, None, None]
        return torch.addcmul(bias, _normalise(x, self), gain)


class PlainNorm(nn.Module):
    """Batch normalisation with a learnt gain and bias: [N,C,H,W] -> the same."""

    def __init__(self, channels: int, eps: float):
        super().__init__()
        self.gain, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("var", torch.ones(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.bias[:, None, None], _normalise(x, self), self.gain[:, None, None])


def _normalise(x: Tensor, norm: ConditionalNorm | PlainNorm) -> Tensor:
    return F.batch_norm(x, norm.mean, norm.var, None, None, norm.training, 0.1, norm.eps)


class SelfAttention(nn.Module):
    """Self-attention with keys and values pooled 2x2: x + gamma * o(attention) (Zhang et al. 2019; Brock et al.)."""

    def __init__(self, channels: int):
        super().__init__()
        narrow, half = max(channels // 8, 1), max(channels // 2, 1)
        self.theta = nn.Conv2d(channels, narrow, 1, bias=False)
        self.phi = nn.Conv2d(channels, narrow, 1, bias=False)
        self.g = nn.Conv2d(channels, half, 1, bias=False)
        self.o = nn.Conv2d(half, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros([]))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.theta(x), F.max_pool2d(self.phi(x), 2), F.max_pool2d(self.g(x), 2)
        q, k, v = (part.flatten(2).transpose(1, 2) for part in (q, k, v))
        found = attention(q, k, v).transpose(1, 2).unflatten(2, x.shape[2:])
        return x + self.gamma * self.o(found)


class BlockUp(nn.Module):
    """Generator's residual block: x [N,I,H,W], y [N,D] -> [N,O,2H,2W] (Brock et al., Figure 15b)."""

    def __init__(self, in_channels: int, out_channels: int, condition_dim: int, eps: float, attends: bool):
        super().__init__()
        self.norm0 = ConditionalNorm(in_channels, condition_dim, eps)
        self.conv0 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm1 = ConditionalNorm(out_channels, condition_dim, eps)
        self.conv1 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.skip = nn.Conv2d(in_channels, out_channels, 1)
        self.attention = SelfAttention(out_channels) if attends else None

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        h = self.conv0(_twice(F.relu(self.norm0(x, y))))
        h = self.conv1(F.relu(self.norm1(h, y)))
        h = h + _twice(self.skip(x))  # a 1x1 convolution commutes with repeating pixels
        return h if self.attention is None else self.attention(h)


def _twice(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")


class BigGANGenerator(nn.Module):
    """Noise, instance feature and class to a picture. See `generate`.

    Attributes: config, resolution, image_channels, z_dim, feature_size, label_size, info (filled by `load_model`),
    inference_dtype (what a CPU computes in, None for the weights' own).
    """

    inference_dtype: torch.dtype | None = None

    def __init__(self, config: BigGANConfig | None = None):
        super().__init__()
        self.config = config = config or BigGANConfig()
        self.chunk = config.z_dim // config.chunks
        self.embed = nn.Linear(config.label_size, config.label_dim, bias=False) if config.label_size else None
        self.feature = nn.Linear(config.feature_size, config.feature_dim) if config.feature_size else None
        self.linear = nn.Linear(self.chunk, config.plan[0][0] * 16)
        width = config.condition_dim + self.chunk
        self.blocks = nn.ModuleList([BlockUp(a, b, width, config.bn_eps, resolution in config.attention)
                                     for a, b, resolution in config.plan])
        self.norm = PlainNorm(config.plan[-1][1], config.bn_eps)
        self.to_rgb = nn.Conv2d(config.plan[-1][1], config.image_channels, 3, padding=1)
        self.info = None
        self.resolution, self.image_channels, self.z_dim = config.resolution, config.image_channels, config.z_dim
        self.feature_size, self.label_size = config.feature_size, config.label_size

    def generate(self, z: Tensor, feature: Tensor | None = None, label: Tensor | None = None, psi: float = 1.0,
                 noise_mode: str = "const", generators: Sequence[torch.Generator] | None = None) -> Tensor:
        """z [N,z_dim] ~ N(0, 1), feature [N,feature_size], label [N,label_size] (one-hot) -> image [N,3,R,R] in [-1,1].

        feature and label are needed where the network takes them, and only there. psi: factor on z, its standard
        deviation. noise_mode and generators: as other generators have them; there is no noise here but z. Raises
        CoModError for wrong shapes.
        """
        if noise_mode not in NOISE_MODES:
            raise CoModError(f"noise_mode {noise_mode!r} is not one of {', '.join(NOISE_MODES)}.")
        z = check_rows("z", z, None, self.z_dim) * psi
        chunks = z.to(self.linear.weight.dtype).split(self.chunk, dim=1)
        condition = self._condition(feature, label, z)
        if fast := fast_form(self, FastBigGAN, z, *condition):
            return fast.decode(chunks, condition)
        x = self.linear(chunks[0]).unflatten(1, (-1, 4, 4)).contiguous(memory_format=torch.channels_last)
        for block, chunk in zip(self.blocks, chunks[1:], strict=True):
            x = block(x, torch.cat([*condition, chunk], dim=1))
        return torch.tanh(self.to_rgb(F.relu(self.norm(x))))

    forward = generate

    def _condition(self, feature: Tensor | None, label: Tensor | None, z: Tensor) -> list[Tensor]:
        """The condition's parts: embedded class, embedded feature."""
        feature = check_rows("feature", feature, z.shape[0], self.feature_size)
        label = check_rows("label", label, z.shape[0], self.label_size)
        pairs = ((self.embed, label), (self.feature, feature))
        return [layer(value.to(layer.weight.dtype)) for layer, value in pairs if layer is not None]


class BlockDown(nn.Module):
    """Discriminator's residual block: [N,I,H,W] -> [N,O,H/2,W/2], or the same size (Brock et al., Figure 15c)."""

    def __init__(self, in_channels: int, out_channels: int, first: bool, down: bool, attends: bool):
        super().__init__()
        self.conv0 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.conv1 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.skip = nn.Conv2d(in_channels, out_channels, 1) if down or in_channels != out_channels else None
        self.attention = SelfAttention(out_channels) if attends else None
        self.first, self.down = first, down

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.relu(self.conv0(x if self.first else F.relu(x))))
        if self.down:  # means of 2x2 commute with a 1x1 convolution
            h, x = F.avg_pool2d(h, 2), F.avg_pool2d(x, 2)
        h = h + (x if self.skip is None else self.skip(x))
        return h if self.attention is None else self.attention(h)


class BigGANDiscriminator(nn.Module):
    """Scores pictures under their conditions by projection (Miyato and Koyama 2018). See `forward`."""

    def __init__(self, config: BigGANConfig | None = None):
        super().__init__()
        self.config = config = config or BigGANConfig()
        sizes = [config.resolution, *(resolution for _, _, resolution in config.critic_plan)]
        self.blocks = nn.Sequential(*[
            BlockDown(a, b, i == 0, resolution < sizes[i], resolution in config.attention and resolution < sizes[i])
            for i, (a, b, resolution) in enumerate(config.critic_plan)])
        width = config.critic_plan[-1][1]
        self.linear = nn.Linear(width, 1)
        self.embed = nn.Linear(config.label_size, width, bias=False) if config.label_size else None
        self.feature = nn.Linear(config.feature_size, width, bias=False) if config.feature_size else None

    def forward(self, image: Tensor, feature: Tensor | None = None, label: Tensor | None = None) -> Tensor:
        """image [N,3,R,R] in [-1,1], feature [N,feature_size], label [N,label_size] (one-hot) -> scores [N,1].

        Raises CoModError for a condition that is missing, superfluous or of another shape.
        """
        config = self.config
        feature = check_rows("feature", feature, len(image), config.feature_size)
        label = check_rows("label", label, len(image), config.label_size)
        h = self.blocks(image.contiguous(memory_format=torch.channels_last))
        h = F.relu(h).sum(dim=(2, 3))
        score = self.linear(h)
        for layer, value in ((self.embed, label), (self.feature, feature)):
            if layer is not None:
                score = score + (h * layer(value.to(h.dtype))).sum(dim=1, keepdim=True)
        return score


def initialise(net: nn.Module) -> nn.Module:
    """Orthogonal weights and zero biases, in place: how BigGAN's training begins (Brock et al., Section 3)."""
    for layer in net.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            nn.init.orthogonal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return net


def spectral_norm(net: nn.Module) -> nn.Module:
    """Spectral norm on every convolution and matrix but the generator's class embedding, in place, for training."""
    spared = net.embed if isinstance(net, BigGANGenerator) else None
    for layer in net.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d)) and layer is not spared:
            parametrizations.spectral_norm(layer, eps=1e-8)
    return net


@torch.no_grad()
def settle_spectral_norm(net: nn.Module, steps: int = 15) -> None:
    """Iterate the stored singular vectors until they fit weights that were put in from elsewhere, in training mode."""
    for layer in net.modules():
        if parametrize.is_parametrized(layer, "weight"):
            for _ in range(steps):
                layer.weight  # noqa: B018


@torch.no_grad()
def fold_spectral_norm(net: nn.Module) -> nn.Module:
    """A new network of the same kind whose weights are divided by their spectral norm for good, in evaluation mode.

    A new one, because copies of a network under `spectral_norm` share its layers' classes.
    """
    training = net.training
    net.eval()  # no further power iteration
    state = {key: value for key, value in net.state_dict().items() if ".parametrizations." not in key}
    state.update((f"{path}.weight", layer.weight) for path, layer in net.named_modules()
                 if parametrize.is_parametrized(layer, "weight"))
    net.train(training)
    with torch.device("meta"):
        folded = type(net)(net.config)
    folded.load_state_dict({key: value.detach().clone() for key, value in state.items()}, assign=True)
    return folded.eval().requires_grad_(False)
