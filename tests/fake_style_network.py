"""A network with StyleMapGAN's methods whose style map is the picture itself, reduced: what happens can be seen."""
import torch
import torch.nn.functional as F

from comod_core.networks import StyleMapConfig


class FakeStyleNetwork:
    """Style map = picture averaged over its cells [N,3,s,s]; levels = copies of it from s to R; decodes the last one.

    `error` is added to what is decoded: a reconstruction that is not exact. Counts its runs.
    """

    image_channels, z_dim = 3, 4

    def __init__(self, resolution=32, style_size=8, error=0.0):
        count = resolution.bit_length() - 2
        self.config = StyleMapConfig(resolution, style_size, 3, 1, channels=(4,) * count)
        self.resolution, self.error = resolution, error
        self.w_avg = torch.full([3 * style_size ** 2], 0.5)
        self.encoded, self.decoded, self.seen = 0, 0, []

    def parameters(self):
        return iter(())

    def encode(self, image):
        assert image.shape == (1, 3, self.resolution, self.resolution)
        self.encoded += 1
        self.seen.append(image)
        return F.adaptive_avg_pool2d(image, self.config.style_size)

    def map(self, z):
        return z[:, :3, None, None].expand(-1, -1, *[self.config.style_size] * 2)

    def expand(self, style_map):
        sizes = [self.config.style_size] * 2 + [size for level in self.config.levels for size in (level, level)]
        return [F.interpolate(style_map, size) for size in sizes]

    def decode(self, style):
        levels = self.expand(style) if isinstance(style, torch.Tensor) else style
        assert len(levels[-1]) == 1 and levels[-1].shape[-1] == self.resolution
        self.decoded += 1
        return levels[-1] + self.error


def photo(height=50, width=40, channels=3, n=1, seed=0):
    """Noise, [n,channels,height,width] in [-1,1]."""
    return torch.rand(n, channels, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def flat(value, height=32, width=32, channels=3):
    """One colour, [1,channels,height,width]."""
    return torch.full((1, channels, height, width), float(value))


def box(top, left, bottom, right, height=50, width=40):
    """A mask [1,1,height,width], 1 in the rectangle."""
    mask = torch.zeros(1, 1, height, width)
    mask[..., top:bottom, left:right] = 1
    return mask
