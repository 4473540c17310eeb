"""CoModGAN generator (Zhao et al., "Large Scale Image Completion via Co-Modulated GANs", ICLR 2021).

The style of every modulated convolution comes from concat(w, c): w is the mapped latent and c the global code of the
encoder. Outside this file a mask is 1 in the hole; the published networks want 1 where pixels are known, and that is
converted here and nowhere else.
"""
from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..errors import CoModError
from ..ops import setup_filter, upsample2d
from .fast import FastCoModGAN, fast_form
from .layers import Conv2d, Dense, Mapping, ModulatedConv2d, NoiseSource, feature_maps


@dataclasses.dataclass(frozen=True)
class CoModConfig:
    """Hyper-parameters of a CoModGAN; the defaults are those of the released 512x512 networks."""

    resolution: int = 512
    image_channels: int = 3
    label_size: int = 0
    z_dim: int = 512
    w_dim: int = 512
    mapping_layers: int = 8
    mapping_fmaps: int = 512
    mapping_lr_mul: float = 0.01
    fmap_base: int = 16384
    fmap_decay: float = 1.0
    fmap_min: int = 1
    fmap_max: int = 512
    dropout_rate: float = 0.5
    style_mod: bool = True
    cond_mod: bool = True
    pix2pix: bool = False
    condition_channels: int | None = None
    mbstd_group: int = 4
    mbstd_features: int = 1

    def __post_init__(self):
        n = int(math.log2(self.resolution)) if self.resolution > 0 else 0
        if self.resolution != 2 ** n or not 8 <= self.resolution <= 4096:
            raise CoModError(f"CoModGAN: resolution {self.resolution} is not a power of two from 8 to 4096.")
        if not (self.style_mod or self.cond_mod):
            raise CoModError("CoModGAN: style_mod and cond_mod are both off; at least one must modulate.")

    @property
    def log2(self) -> int:
        return int(math.log2(self.resolution))

    @property
    def num_layers(self) -> int:
        """Rows of w: two convolutions and one ToRGB a resolution, shared where they coincide (2 log2(R) - 2)."""
        return 2 * self.log2 - 2

    @property
    def encoder_channels(self) -> int:
        """Channels that the encoder reads: the condition alone, or mask and picture."""
        return (self.condition_channels or self.image_channels) if self.pix2pix else self.image_channels + 1

    def channels(self, k: int) -> int:
        return feature_maps(k, self.fmap_base, self.fmap_decay, self.fmap_min, self.fmap_max)


@dataclasses.dataclass
class Encoding:
    """What the encoder makes of N images. One image serves any number of latents.

    raw_code [N,2*nf(1)] before dropout; code the same, or [G,...] after dropout with G generators; skips {res: [N,C,
    res,res]}; image [N,C,R,R] in [-1,1] with the hole zeroed and mask [N,1,R,R], 1 = hole (both None where a network
    translates).
    """

    raw_code: Tensor
    code: Tensor
    skips: dict[int, Tensor]
    image: Tensor | None
    mask: Tensor | None
    rate: float = 0.5

    def __len__(self) -> int:
        return len(self.code)

    def __getitem__(self, index: int) -> Encoding:
        def row(x: Tensor | None) -> Tensor | None:
            return None if x is None else x[-1:] if len(x) == 1 else x[index:index + 1] if index >= 0 else x[index:][:1]

        if not -len(self) <= index < len(self):
            raise IndexError(f"encoding {index} of {len(self)}")
        skips = {res: row(skip) for res, skip in self.skips.items()}
        return Encoding(row(self.raw_code), row(self.code), skips, row(self.image), row(self.mask), self.rate)

    def drop(self, generators: Sequence[torch.Generator] | None) -> Encoding:
        """The same encoding with dropout on the global code, drawn on the CPU from one generator a sample.

        With one image and G generators the code becomes [G,...] while the skips stay as they are. None: no dropout.
        Raises CoModError when neither the number of images nor of generators is one and they differ.
        """
        if generators is None:
            return dataclasses.replace(self, code=self.raw_code)
        n, dim = self.raw_code.shape
        if len(generators) != n and n != 1:
            raise CoModError(f"Encoding: {n} images but {len(generators)} generators; give one generator an image.")
        keep = torch.cat([torch.rand(1, dim, generator=g) for g in generators]) >= self.rate
        code = self.raw_code * keep.to(self.raw_code.device, self.raw_code.dtype) / (1 - self.rate)
        return dataclasses.replace(self, code=code)


class Encoder(nn.Module):
    """E: picture (and mask) to skips of every resolution and the global code."""

    def __init__(self, config: CoModConfig):
        super().__init__()
        nf, n = config.channels, config.log2
        self.resolutions = [2 ** r for r in range(n, 2, -1)]
        self.from_rgb = Conv2d(config.encoder_channels, nf(n - 1), 1)
        for r in range(n, 2, -1):
            block = nn.Module()
            block.conv0 = Conv2d(nf(r - 1), nf(r - 1))
            block.conv1 = Conv2d(nf(r - 1), nf(r - 2), down=True)
            self.add_module(f"b{2 ** r}", block)
        self.b4 = nn.Module()
        self.b4.conv = Conv2d(nf(1), nf(1))
        self.b4.dense = Dense(nf(1) * 16, nf(1) * 2)

    def forward(self, x: Tensor) -> tuple[Tensor, dict[int, Tensor]]:
        skips = {}
        x = self.from_rgb(x)
        for res in self.resolutions:
            block = getattr(self, f"b{res}")
            skips[res] = x = block.conv0(x)
            x = block.conv1(x)
        skips[4] = x = self.b4.conv(x)
        return self.b4.dense(x.flatten(1)), skips


class Synthesis(nn.Module):
    """G: global code, skips and styles to RGB, skip architecture."""

    def __init__(self, config: CoModConfig):
        super().__init__()
        nf, n = config.channels, config.log2
        code_dim = 2 * nf(1)
        style = (config.w_dim if config.style_mod else 0) + (code_dim if config.cond_mod else 0)
        self.config, self.resolutions = config, [2 ** r for r in range(3, n + 1)]
        self.b4 = nn.Module()
        self.b4.dense = Dense(code_dim, nf(1) * 16)
        self.b4.conv = ModulatedConv2d(nf(1), nf(1), style, noise_resolution=4)
        self.b4.to_rgb = self._to_rgb(nf(1), style)
        for r in range(3, n + 1):
            block = nn.Module()
            block.conv0 = ModulatedConv2d(nf(r - 2), nf(r - 1), style, up=True, noise_resolution=2 ** r)
            block.conv1 = ModulatedConv2d(nf(r - 1), nf(r - 1), style, noise_resolution=2 ** r)
            block.to_rgb = self._to_rgb(nf(r - 1), style)
            self.add_module(f"b{2 ** r}", block)
        self.register_buffer("fir", setup_filter(), persistent=False)

    def _to_rgb(self, channels: int, style: int) -> ModulatedConv2d:
        return ModulatedConv2d(channels, self.config.image_channels, style, 1, demodulate=False, act="linear")

    def convolutions(self) -> list[ModulatedConv2d]:
        """The layers that take noise, in order."""
        blocks = (getattr(self, f"b{res}") for res in self.resolutions)
        return [self.b4.conv, *(layer for block in blocks for layer in (block.conv0, block.conv1))]

    def _style(self, w: Tensor, code: Tensor, layer: int) -> Tensor:
        # s = A(concat(w, c)), Figure 4 (c); the switches leave one of the two out
        parts = [w[:, layer]] * self.config.style_mod + [code] * self.config.cond_mod
        n = max(part.shape[0] for part in parts)  # len() would fix the number when traced
        return torch.cat([part.expand(n, -1) for part in parts], dim=1)

    def forward(self, encoding: Encoding, w: Tensor, noise: NoiseSource) -> Tensor:
        code, skips = encoding.code, encoding.skips
        x = self.b4.dense(code)
        x = x.unflatten(1, (-1, 4, 4)) + skips[4]
        x = x.expand(max(x.shape[0], w.shape[0]), -1, -1, -1).contiguous(memory_format=torch.channels_last)
        x = self.b4.conv(x, self._style(w, code, 0), noise(self.b4.conv))
        rgb = self.b4.to_rgb(x, self._style(w, code, 1))
        for i, res in enumerate(self.resolutions):
            block = getattr(self, f"b{res}")
            x = block.conv0(x, self._style(w, code, 2 * i + 1), noise(block.conv0)) + skips[res]
            x = block.conv1(x, self._style(w, code, 2 * i + 2), noise(block.conv1))
            rgb = upsample2d(rgb, self.fir) + block.to_rgb(x, self._style(w, code, 2 * i + 3))
        return rgb


class CoModGenerator(nn.Module):
    """Co-modulated generator: encode once, decode for many latents. See `encode`, `map`, `decode`.

    Attributes: config, w_avg [w_dim] (centre for truncation), info (filled by `load_model`), inference_dtype (what a
    CPU computes in, None for the weights' own).
    """

    inference_dtype: torch.dtype | None = None

    def __init__(self, config: CoModConfig | None = None):
        super().__init__()
        self.config = config = config or CoModConfig()
        self.mapping = Mapping(config.z_dim, config.w_dim, config.mapping_layers, config.mapping_fmaps,
                               config.label_size, config.mapping_lr_mul)
        self.encoder = Encoder(config)
        self.synthesis = Synthesis(config)
        self.register_buffer("w_avg", torch.zeros(config.w_dim))
        self.info = None
        self.resolution, self.image_channels = config.resolution, config.image_channels
        self.z_dim, self.w_dim, self.label_size = config.z_dim, config.w_dim, config.label_size
        self.num_layers, self.pix2pix = config.num_layers, config.pix2pix

    def map(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """z [N,z_dim], label [N,label_size] (one-hot) or None -> w [N,num_layers,w_dim].

        Raises CoModError for wrong shapes, or for a label that is missing where the network has labels.
        """
        if z.ndim != 2 or z.shape[1] != self.z_dim:
            raise CoModError(f"map: z has shape {list(z.shape)}; this network takes [N,{self.z_dim}].")
        if self.label_size:
            if label is None:
                label = z.new_zeros([len(z), self.label_size])
            if list(label.shape) != [len(z), self.label_size]:
                raise CoModError(f"map: label has shape {list(label.shape)}; expected [{len(z)},{self.label_size}].")
        elif label is not None:
            raise CoModError("map: this network has no labels; leave label out.")
        return self.mapping(z, label)[:, None].expand(-1, self.num_layers, -1)

    def encode(self, image: Tensor, mask: Tensor | None = None, dropout: bool = True,
               generators: Sequence[torch.Generator] | None = None) -> Encoding:
        """image [N,C,R,R] in [-1,1] and mask [N,1,R,R], 1 = hole, to an Encoding.

        Pixels under the hole are ignored. A network that translates takes the condition as `image` and no mask.
        dropout: on the global code, as in the released networks. generators: one CPU generator a sample (one image
        may have many); None draws from torch's global generator. Raises CoModError for wrong shapes.
        """
        config = self.config
        self._check_input(image, mask)
        dtype = self.encoder.from_rgb.weight.dtype
        image = image.to(dtype)
        if config.pix2pix:
            known, kept, x = None, None, image
        else:
            known = 1 - mask.to(dtype)
            kept = torch.where(known > 0, image * known, 0)
            x = torch.cat([(known - 0.5).expand(kept.shape[0], -1, -1, -1), kept], dim=1)
        fast = fast_form(self, FastCoModGAN, image)
        raw, skips = (fast.encode if fast else self.encoder)(x.contiguous(memory_format=torch.channels_last))
        encoding = Encoding(raw, raw, skips, kept, None if known is None else 1 - known, config.dropout_rate)
        if not dropout or config.dropout_rate == 0:
            return encoding
        if generators is None:
            generators = [torch.default_generator] * len(raw)
        return encoding.drop(generators)

    def decode(self, encoding: Encoding, w: Tensor, noise_mode: str = "const",
               generators: Sequence[torch.Generator] | None = None) -> Tensor:
        """Encoding of N images (or of one) and w [N,num_layers,w_dim] -> image [N,C,R,R], about [-1,1].

        Known pixels are those of the input. noise_mode: "const" (the stored maps), "random" (generators: one CPU
        generator a sample, None for torch's global one), "none". Raises CoModError for wrong shapes or modes.
        """
        if w.ndim != 3 or w.shape[1:] != (self.num_layers, self.w_dim):
            raise CoModError(f"decode: w has shape {list(w.shape)}; expected [N,{self.num_layers},{self.w_dim}].")
        if len(encoding) != len(w) and 1 not in (len(encoding), len(w)):
            raise CoModError(f"decode: {len(encoding)} encodings and {len(w)} latents; give as many, or one of either.")
        count = max(len(encoding), len(w))
        noise, w = NoiseSource(noise_mode, count, generators), w.to(encoding.code.dtype)
        if fast := fast_form(self, FastCoModGAN, w, encoding.code, *encoding.skips.values()):
            return fast.decode(encoding, w, [noise(layer) for layer in self.synthesis.convolutions()])
        y = self.synthesis(encoding, w, noise)
        if encoding.mask is None:
            return y
        # y * (1 - m) + x * m with m = 1 on known pixels; `image` is zero in the hole already
        return y * encoding.mask + encoding.image

    def forward(self, image: Tensor, mask: Tensor | None, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Encode, map and decode once with dropout and random noise, as in training."""
        return self.decode(self.encode(image, mask), self.map(z, label), noise_mode="random")

    def _check_input(self, image: Tensor, mask: Tensor | None) -> None:
        config, r = self.config, self.resolution
        channels = config.encoder_channels if config.pix2pix else config.image_channels
        if image.ndim != 4 or image.shape[1:] != (channels, r, r):
            raise CoModError(f"encode: image has shape {list(image.shape)}; this network takes [N,{channels},{r},{r}].")
        if config.pix2pix:
            if mask is not None:
                raise CoModError("encode: this network translates a condition into a picture; it takes no mask.")
        elif mask is None or mask.ndim != 4 or mask.shape[1:] != (1, r, r) or mask.shape[0] not in (1, image.shape[0]):
            shape = None if mask is None else list(mask.shape)
            raise CoModError(f"encode: mask has shape {shape}; expected [{len(image)},1,{r},{r}], 1 = hole.")
