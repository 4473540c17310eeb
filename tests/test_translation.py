"""Image to image with every architecture: seeds decide, batches do not; the condition counts; errors."""
import dataclasses
from pathlib import Path

import pytest
import torch

from comod_core.checkpoints import import_checkpoint
from comod_core.checkpoints.infer import infer_config
from comod_core.checkpoints.store import save_networks
from comod_core.completion import prepare
from comod_core.conditions import from_drawing, from_labels
from comod_core.errors import CoModError
from comod_core.labels import AVATAR_PARTS
from comod_core.loading import load_model
from comod_core.networks import (
    CoModConfig,
    CoModDiscriminator,
    CoModGenerator,
    Pix2PixConfig,
    Pix2PixGenerator,
    SpadeConfig,
    SpadeGenerator,
)
from comod_core.translation import classes_of, condition_channels, condition_kind, translate, translate_batch

DATA = Path(__file__).parent / "data"
NETWORKS = {
    "comodgan": (CoModGenerator, CoModConfig(16, z_dim=8, w_dim=8, mapping_layers=2, mapping_fmaps=8, fmap_base=64,
                                             fmap_max=16, pix2pix=True, condition_channels=7)),
    "pix2pix": (Pix2PixGenerator, Pix2PixConfig(16, 3, 7, unet_channels=4, unet_max=8, patch_layers=1)),
    "spade": (SpadeGenerator, SpadeConfig(16, 3, 7, 6, spade_channels=4, spade_max=8, spade_hidden=4, patch_layers=1)),
}


@pytest.fixture(params=NETWORKS)
def net(request):
    torch.manual_seed(0)
    kind, config = NETWORKS[request.param]
    return kind(config).eval().requires_grad_(False)


@pytest.fixture
def condition():
    labels = torch.randint(0, 7, (2, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(5))
    return from_labels(labels, AVATAR_PARTS)


def test_a_seed_gives_the_same_picture_in_any_company(net, condition):
    many = list(translate(net, condition, [4, 9, 2]))
    assert [(one.seed, one.condition) for one in many] == [(4, 0), (4, 1), (9, 0), (9, 1), (2, 0), (2, 1)]
    alone, = translate(net, condition[1], 9)
    assert torch.equal(many[3].image, alone.image) and alone.image.abs().max() <= 1
    assert not torch.equal(many[1].image, many[3].image)                 # another seed
    assert not torch.equal(many[2].image, many[3].image)                 # another condition
    batch = translate_batch(net, condition.fit(16, 7), [9, 9])
    assert torch.allclose(batch[1:], alone.image, atol=1e-4)


def test_psi(net, condition):
    still = [next(iter(translate(net, condition[0], seed, psi=0.0, dropout=False))).image for seed in (1, 2)]
    assert torch.equal(*still)


def test_progress_and_interruption(net, condition):
    seen = []
    list(translate(net, condition, [1, 2], progress=lambda done, total, image: seen.append((done, total, image.shape))))
    assert seen == [(i, 4, (1, 3, 16, 16)) for i in range(1, 5)]

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(translate(net, condition, [1, 2], progress=stop))


def test_a_file_says_what_it_takes(net, tmp_path):
    facts = {"condition": "labels", "classes": "\n".join(map(str, AVATAR_PARTS))}
    again = load_model(save_networks(tmp_path / "net.safetensors", {"generator": net}, facts))
    assert condition_kind(again) == "labels" and classes_of(again) == AVATAR_PARTS and condition_channels(again) == 7
    assert condition_kind(net) == "labels" and classes_of(net) == ()      # nothing stated: by its channels


def test_the_released_kind_of_network_takes_a_three_channel_drawing():
    net = import_checkpoint(DATA / "comod_tf_32_pix2pix.pkl").generator
    assert condition_channels(net) == 3 and condition_kind(net) == "edges"
    drawing = torch.ones(1, 3, 64, 64)
    drawing[..., 20:24, 10:50] = -1
    first, second = (one.image for one in translate(net, from_drawing(drawing), [0, 1], noise_mode="random"))
    assert first.shape == (1, 3, 32, 32) and not torch.equal(first, second)


@pytest.mark.parametrize("channels", [1, 3, 4, 183])
def test_networks_of_any_condition_are_told_by_their_shapes(channels):
    """4 is as many as a completion network's encoder has; there the discriminator tells."""
    config = CoModConfig(16, z_dim=8, w_dim=8, mapping_layers=2, mapping_fmaps=8, fmap_base=64, fmap_max=16,
                         pix2pix=True, condition_channels=channels)
    state, scores = CoModGenerator(config).state_dict(), CoModDiscriminator(config).state_dict()
    found = infer_config(state, scores)
    assert found.pix2pix and found.encoder_channels == channels
    completion = dataclasses.replace(config, pix2pix=False, condition_channels=None)
    found = infer_config(CoModGenerator(completion).state_dict(), CoModDiscriminator(completion).state_dict())
    assert not found.pix2pix


def test_wrong_use(net, condition):
    with pytest.raises(CoModError, match="label maps most likely"):
        translate(net, from_drawing(torch.ones(1, 3, 16, 16)), 0)
    with pytest.raises(CoModError, match="takes .N,7,16,16."):
        translate(net, torch.zeros(1, 3, 16, 16), 0)
    with pytest.raises(CoModError, match="seed"):
        translate(net, condition, -1)
    with pytest.raises(CoModError, match="completes no holes"):
        prepare(net, torch.zeros(1, 3, 16, 16), torch.ones(1, 1, 16, 16))
    with pytest.raises(CoModError, match="translates no drawings"):
        translate(CoModGenerator(CoModConfig(16, fmap_base=64, fmap_max=16)), condition, 0)
