"""CoModGAN on a CPU: the encoder, and the decoder of one sample where the hole needs it."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...ops.planes import Plane, plane
from ...ops.prepacked import convolution, direct
from ...ops.scratch import Scratch
from ...ops.winograd import winograd
from .boxes import Box, bands, box_of, boxes, double
from .memory import hand_back
from .modulated import GAIN, SLOPE, Modulated, ToRGB, run, suits_winograd


class FastEncoder:
    """E of one picture: x [4,R,R] to the global code [D] in float32 and skips {res: [C,res,res]}."""

    def __init__(self, encoder, dtype: torch.dtype, scratch: Scratch):
        self.dtype, self.scratch, self.resolutions = dtype, scratch, encoder.resolutions
        weight, bias = (value.to(dtype) for value in _folded(encoder.from_rgb))
        # the bias is the weight of one more channel, which is 1 inside of the picture: the margin stays 0
        self.from_rgb = convolution(torch.cat([weight, bias[:, None, None, None]], dim=1), None)
        self.blocks = {res: _block(getattr(encoder, f"b{res}"), res, dtype) for res in self.resolutions}
        self.conv, self.dense = direct(*_folded(encoder.b4.conv), dtype=dtype, size=4), encoder.b4.dense

    def __call__(self, x: Tensor) -> tuple[Tensor, dict[int, Tensor]]:
        skips, source = {}, None
        for res in self.resolutions:
            conv0, conv1 = self.blocks[res]
            width, narrow = conv0.bias_size, conv1.bias_size
            skip = plane(res, res, width, 2, self.dtype, self.scratch, f"skip{res}", lent=True)
            if source is None:
                self._first(x, conv0.kernel, skip)
            else:
                run(conv0.kernel, source, skip, self.scratch)
            skips[res] = skip.inside.permute(2, 0, 1)
            source = plane(res // 2, res // 2, narrow, 1, self.dtype, self.scratch, "x1")
            run(conv1.kernel, skip, source, self.scratch, factor=0.5, margin=2)
        last = plane(4, 4, source.whole.shape[2], 0, self.dtype)
        run(self.conv, source, last, self.scratch)
        skips[4] = last.whole.permute(2, 0, 1)
        code = F.linear(skips[4].flatten().float(), self.dense.weight.float()).mul_(self.dense.scale * GAIN)
        if self.dense.bias is not None:
            code += self.dense.bias.float() * (self.dense.lr_mul * GAIN)
        return F.leaky_relu_(code, SLOPE), skips

    def _first(self, x: Tensor, conv0, skip: Plane) -> None:
        """FromRGB and the first convolution, strip by strip: features of FromRGB are needed nowhere else."""
        channels, height, width = x.shape
        pixels = plane(height, width, channels + 1, 1, self.dtype, self.scratch, "pixels")
        pixels.inside[..., :channels] = x.permute(1, 2, 0)
        pixels.inside[..., channels] = 1
        rows = conv0.rows(width, height)
        for start in range(0, height, rows):
            stop = min(start + rows, height)
            seen = pixels.around(start, stop, 0, width, 1)
            strip = self.from_rgb(seen.permute(2, 0, 1)[None], SLOPE)[0].permute(1, 2, 0)
            conv0.strip(strip, skip.inside[start:stop], self.scratch, slope=SLOPE)


class _Layer:
    """A convolution of the encoder and how many channels it gives."""

    def __init__(self, conv, resolution: int, dtype: torch.dtype):
        weight, bias = _folded(conv)
        self.bias_size = len(weight)
        if conv.down:
            self.kernel = direct(weight, bias, "down", conv.fir, dtype, size=resolution)
        elif suits_winograd(weight, resolution, dtype):
            self.kernel = winograd(weight, bias)
        else:
            self.kernel = direct(weight, bias, dtype=dtype, size=resolution)


def _block(block, resolution: int, dtype: torch.dtype) -> tuple[_Layer, _Layer]:
    return _Layer(block.conv0, resolution, dtype), _Layer(block.conv1, resolution, dtype)


def _folded(conv) -> tuple[Tensor, Tensor]:
    """Weight and bias with the scale and the activation's gain in them."""
    return conv.weight.detach().float() * (conv.scale * GAIN), conv.bias.detach().float() * GAIN


class FastDecoder:
    """G of one sample: code [D], skips, styles and noise to RGB in a box around the hole."""

    clamp: float | None = None

    def __init__(self, synthesis, dtype: torch.dtype, scratch: Scratch):
        self.dtype, self.scratch, self.synthesis = dtype, scratch, synthesis
        self.resolutions, self.config, self.dense = synthesis.resolutions, synthesis.config, \
            getattr(synthesis.b4, "dense", None)
        self.first, self.first_rgb = Modulated(synthesis.b4.conv, 4, dtype), ToRGB(synthesis.b4.to_rgb)
        self.blocks = []
        for res in self.resolutions:
            block = getattr(synthesis, f"b{res}")
            self.blocks.append((res, Modulated(block.conv0, res, dtype), Modulated(block.conv1, res, dtype),
                                ToRGB(block.to_rgb)))

    def _clamped(self, x: Tensor) -> Tensor:
        """In place."""
        return x if self.clamp is None else x.clamp_(-self.clamp, self.clamp)

    def _style(self, w: Tensor, code: Tensor, layer: int) -> Tensor:
        return torch.cat([w[layer]] * self.config.style_mod + [code] * self.config.cond_mod)

    def __call__(self, code: Tensor, skips: dict[int, Tensor], w: Tensor, noises: list[Tensor | None],
                 needed: Box) -> Tensor:
        """code [D] and w [L,W] in float32, skips {res: [C,res,res]}, noises: one a convolution, [1,r,r] or None.

        Returns [h,w,3] in float32, where `needed` (top, bottom, left, right) is right; the box is `boxes(needed)[R]`.
        """
        found = boxes(needed, self.resolutions[-1])
        x, rgb = self._start(self._first_features(code, skips), code, w, noises[0])
        for i, (res, conv0, conv1, to_rgb) in enumerate(self.blocks):
            last = res == self.resolutions[-1]
            styles = [self._style(w, code, 2 * i + 1 + k) for k in range(3)]
            first, second = conv0.prepare(conv0.style(styles[0])), conv1.prepare(conv1.style(styles[1]))
            noise = [conv.noise(noises[2 * i + 1 + k]) for k, conv in enumerate((conv0, conv1))]
            larger, weight = self._plane(found[res], 3, "rgb", torch.float32), to_rgb.prepare(styles[2])
            double(rgb.around(*(edge // 2 for edge in found[res]), 1), larger.inside)
            rgb, source = larger, x
            x = None if last else self._plane(found[res], len(conv1.bias), f"x{i % 2}")
            for band in bands(found[res], self.dtype.itemsize):
                wider = (max(band[0] - 2, found[res][0]), min(band[1] + 2, found[res][1]), *band[2:])
                between = self._plane(wider, len(conv0.bias), "between")
                run(first[0], source, between, self.scratch, tuple(edge // 2 for edge in wider), 2, noise=noise[0],
                    clamp=self.clamp, skip=skips[res].permute(1, 2, 0) if skips else None, **first[1])
                self._second(second, band, between, noise[1], x, (to_rgb, weight, rgb))
        return rgb.inside

    def _plane(self, box: Box, channels: int, name: str, dtype: torch.dtype | None = None) -> Plane:
        dtype, scratch = dtype or self.dtype, None if dtype else self.scratch
        return plane(box[1] - box[0], box[3] - box[2], channels, 1, dtype, scratch, name, box[0], box[2])

    def _first_features(self, code: Tensor, skips: dict[int, Tensor]) -> Tensor:
        x = F.linear(code, self.dense.weight.float()).mul_(self.dense.scale * GAIN)
        x = F.leaky_relu_(x.add_(self.dense.bias.float() * (self.dense.lr_mul * GAIN)), SLOPE)
        return x.view(-1, 4, 4) + skips[4]

    def _start(self, x: Tensor, code: Tensor | None, w: Tensor, noise: Tensor | None) -> tuple[Plane, Plane]:
        """x [C,4,4] -> the 4x4 features and their RGB."""
        box = (0, 4, 0, 4)
        source, out = (self._plane(box, len(channels), name) for channels, name in
                       ((x, "between"), (self.first.bias, "x")))
        source.inside.copy_(x.permute(1, 2, 0))
        kernel, style = self.first.prepare(self.first.style(self._style(w, code, 0)))
        run(kernel, source, out, self.scratch, noise=self.first.noise(noise), clamp=self.clamp, **style)
        rgb = self._plane(box, 3, "rgb", torch.float32)
        weight = self.first_rgb.prepare(self._style(w, code, 1))
        rgb.inside.copy_(self._clamped(self.first_rgb(out.whole, weight)[1:-1, 1:-1]))
        return out, rgb

    def _second(self, conv: tuple, band: Box, source: Plane, noise: Tensor | None, out: Plane | None,
                rgb: tuple[ToRGB, Tensor, Plane]) -> None:
        """The second convolution of a block to `out`, where there is a next block, and its RGB, added in place."""
        (kernel, style), (to_rgb, weight, picture), (top, bottom, left, right) = conv, rgb, band
        rows = kernel.rows(right - left, bottom - top)
        for start in range(top, bottom, rows):
            stop = min(start + rows, bottom)
            seen, channels = (start, stop, left, right), weight.shape[1]
            if out is None:
                target = plane(stop - start, right - left, channels, 0, self.dtype, self.scratch, "strip").whole
            else:
                target = out.around(*seen, 0)
            kernel.strip(source.around(*seen, 1), target, self.scratch, slope=SLOPE,
                         noise=None if noise is None else noise[start:stop, left:right], **style)
            self._clamped(target)
            whole = target if out is None else out.whole[start - out.top + 1:stop - out.top + 1]
            color = self._clamped(to_rgb(whole, weight))
            picture.around(*seen, 0).add_(color if out is None else color[:, 1:-1])


class FastCoModGAN:
    """The fast form of a `CoModGenerator`: `encode` and `decode` of any number of samples, one at a time."""

    def __init__(self, net, dtype: torch.dtype):
        self.scratch = Scratch(dtype)
        self.encoder = FastEncoder(net.encoder, dtype, self.scratch)
        hand_back(list(net.parameters()))  # before the other half, so that both halves are never here twice
        self.decoder = FastDecoder(net.synthesis, dtype, self.scratch)

    def encode(self, x: Tensor) -> tuple[Tensor, dict[int, Tensor]]:
        """x [N,C,R,R] -> the global codes [N,D] and skips {res: [N,C,res,res]}."""
        found = [self.encoder(image) for image in x]
        if len(found) == 1:
            code, skips = found[0]
            return code[None].to(x.dtype), {res: skip[None] for res, skip in skips.items()}
        skips = {res: torch.stack([skips[res] for _, skips in found]) for res in found[0][1]}
        return torch.stack([code for code, _ in found]).to(x.dtype), skips

    def decode(self, encoding, w: Tensor, noises: list[Tensor | None]) -> Tensor:
        """Encoding of N images or one, w [N,L,W] or one, noise maps [N or 1,1,r,r] -> [N,3,R,R], composited."""
        count = max(len(encoding), len(w))
        first = self._decode(encoding, w, noises, 0)
        if count == 1:
            return first[None]
        pictures = first.new_empty(count, *first.shape)  # and not a list, which would be here twice when it is stacked
        pictures[0] = first
        for i in range(1, count):
            pictures[i] = self._decode(encoding, w, noises, i)
        return pictures

    def _decode(self, encoding, w: Tensor, noises: list[Tensor | None], i: int) -> Tensor:
        """Picture i, [3,R,R]."""
        size = self.decoder.resolutions[-1]
        code = _row(encoding.code, i).float()
        skips = {res: _row(skip, i) for res, skip in encoding.skips.items()}
        image, mask = (None if x is None else _row(x, i) for x in (encoding.image, encoding.mask))
        needed = (0, size, 0, size) if mask is None else box_of(mask[0])
        if needed is None:
            return image.clone()
        maps = [None if noise is None else _row(noise, i) for noise in noises]
        rgb = self.decoder(code, skips, _row(w, i).float(), maps, needed).permute(2, 0, 1)
        if mask is None:
            return rgb.to(w.dtype, memory_format=torch.contiguous_format)
        top, bottom, left, right = boxes(needed, size)[size]
        picture = image.clone(memory_format=torch.contiguous_format)
        part = (slice(None), slice(top, bottom), slice(left, right))
        picture[part] += rgb * mask[part]
        return picture


def _row(x: Tensor, i: int) -> Tensor:
    return x[0] if len(x) == 1 else x[i]
