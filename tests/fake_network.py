"""A network with CoModGenerator's methods that paints a known function of what it sees."""
import torch

from comod_core.networks.comodgan import Encoding


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
