"""LPIPS as it is published: the formula with AlexNet's maps and the learnt weights, and what is said without them."""
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from comod_core.errors import CoModError
from comod_core.metrics.lpips_distance import ALEXNET, Lpips


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty torch.hub folder."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints"


def pictures(seed):
    return torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_by_hand(torchvision, cache):
    """Unit-length maps, squared gaps, weighted by the package's heads, averaged over places, summed over layers."""
    lpips = pytest.importorskip("lpips")
    torch.manual_seed(0)
    alexnet = torchvision.models.alexnet(weights=None).eval()
    torch.save(alexnet.state_dict(), cache / ALEXNET)
    distance, a, b = Lpips(), pictures(1), pictures(2)
    heads = torch.load(Path(lpips.__file__).parent / "weights" / "v0.1" / "alex.pth", "cpu", weights_only=True)
    total = torch.zeros(3)
    x, y = ((image / 127.5 - 1 - torch.tensor([-0.030, -0.088, -0.188])[:, None, None])
            / torch.tensor([0.458, 0.448, 0.450])[:, None, None] for image in (a, b))
    with torch.no_grad():
        for index, layer in enumerate(alexnet.features[:12]):
            x, y = layer(x), layer(y)
            if index in (1, 4, 7, 9, 11):
                gap = (x / (x.norm(dim=1, keepdim=True) + 1e-10) - y / (y.norm(dim=1, keepdim=True) + 1e-10)) ** 2
                head = heads[f"lin{(1, 4, 7, 9, 11).index(index)}.model.1.weight"]
                total += (gap * head).sum(dim=1).mean(dim=(1, 2))
    np.testing.assert_allclose(distance(a, b), total, rtol=1e-4)
    assert distance(a, a).tolist() == [0.0] * 3 and distance(a[:0], b[:0]).shape == (0,) and len(distance.digest) == 64
    for wrong in ((a[:2], b), (a.float(), b), (a[..., :16, :16], b[..., :16, :16])):
        with pytest.raises(CoModError, match="LPIPS: pictures"):
            distance(*wrong)


def test_what_is_missing_is_said(cache, monkeypatch):
    with pytest.raises(CoModError, match=f"{ALEXNET}.*save it as"):
        Lpips()
    (cache / ALEXNET).touch()

    def broken(**_):
        raise RuntimeError("operator torchvision::nms does not exist")

    for module in (None, types.SimpleNamespace(LPIPS=broken)):
        monkeypatch.setitem(sys.modules, "lpips", module)
        with pytest.raises(CoModError, match=r"comod-gan\[lpips\].*pair of torch"):
            Lpips()
