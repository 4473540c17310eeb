"""A network with CoModGenerator's methods that paints a known function of what it sees; pictures and holes for it."""
import torch

from comod_core.completion import complete
from comod_core.networks.comodgan import CoModConfig, CoModGenerator, Encoding


def plane(image, mask):
    """Least-squares plane through the known cells: the exact completion of a gradient. [1,3,R,R] -> [1,3,R,R]."""
    r = image.shape[-1]
    y, x = torch.meshgrid(torch.arange(r) / r, torch.arange(r) / r, indexing="ij")
    basis = torch.stack([torch.ones_like(x), x, y], dim=-1).reshape(-1, 3).double()
    known = mask.reshape(-1) < 0.5
    if int(known.sum()) < 3:
        return torch.zeros_like(image)
    solution = torch.linalg.lstsq(basis[known], image[0].reshape(3, -1).T[known].double()).solution
    return (basis @ solution).T.float().reshape(1, 3, r, r)


def flat(value):
    """Painter of one colour, whatever it sees."""
    return lambda image, mask: torch.full_like(image, value)


class FakeNetwork:
    """Decodes `paint(image, mask)` [1,3,R,R] plus `latent_gain` times the latent's, the code's and the noise's first
    values; composites as CoModGenerator does. Counts its runs in `encoded` and `decoded`."""

    image_channels, z_dim, w_dim, num_layers, label_size, pix2pix = 3, 8, 8, 4, 0, False

    def __init__(self, paint=plane, resolution=32, latent_gain=0.0):
        self.paint, self.resolution, self.latent_gain = paint, resolution, latent_gain
        self.w_avg = torch.full([8], 0.25)
        self.encoded, self.decoded, self.seen = 0, 0, []

    def encode(self, image, mask, dropout=True, generators=None):
        assert image.shape == (1, 3, self.resolution, self.resolution) and mask.shape == (1, 1, *image.shape[2:])
        assert not dropout and not (image * mask).any()
        self.encoded += 1
        self.seen.append((image, mask))
        code = image.mean(dim=(2, 3)).repeat(1, 3)[:, :8] + 1
        return Encoding(code, code, {}, image, mask)

    def map(self, z, label=None):
        return z[:, None].expand(-1, self.num_layers, -1)

    def decode(self, encoding, w, noise_mode="const", generators=None):
        assert w.shape == (1, self.num_layers, self.w_dim)
        self.decoded += 1
        noise = torch.randn(1, generator=generators[0]) if noise_mode == "random" else torch.zeros(1)
        shift = self.latent_gain * (w[0, 0, 0] + encoding.code[0].sum() + noise)
        return (self.paint(encoding.image, encoding.mask) + shift) * encoding.mask + encoding.image


def small_network():
    """The real network, 16x16, of random weights."""
    torch.manual_seed(0)
    return CoModGenerator(CoModConfig(resolution=16, fmap_base=128, fmap_max=16, z_dim=16, w_dim=16,
                                      mapping_fmaps=16)).eval()


def gradient(height, width, channels=3):
    """A plane in each channel, within [-0.9, 0.9]."""
    y = (torch.arange(height) + 0.5) / max(height, width)
    x = (torch.arange(width) + 0.5) / max(height, width)
    y, x = torch.meshgrid(y, x, indexing="ij")
    planes = [1.6 * x - 0.8, 0.9 - 1.7 * y, 0.8 * x + 0.9 * y - 0.85, torch.full_like(x, 0.3)]
    return torch.stack(planes[:channels])[None]


def hole(height, width, *rects):
    mask = torch.zeros(1, 1, height, width)
    for top, left, bottom, right in rects:
        mask[..., top:bottom, left:right] = 1
    return mask


def one(net, image, mask, seeds=(1,), **options):
    return next(complete(net, image, mask, list(seeds), **options)).image
