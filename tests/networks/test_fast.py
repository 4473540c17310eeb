"""The forms in which CPUs run the networks: same numbers, used only where they may be, of the present weights."""
from __future__ import annotations

import copy
import gc
import subprocess
import sys
import weakref

import pytest
import torch
from untrained import filled

from comod_core import latents, load_model, loading
from comod_core.checkpoints.store import load_networks, save_networks
from comod_core.completion import complete
from comod_core.networks import (
    BigGANConfig,
    BigGANGenerator,
    CoModConfig,
    CoModGenerator,
    StyleGAN2Config,
    StyleGAN2Generator,
    StyleMapConfig,
    StyleMapGAN,
)
from comod_core.networks.fast import FastCoModGAN, boxes, fast_form, forms, memory, plain_form

WIDE = CoModConfig(resolution=64, z_dim=16, w_dim=24, mapping_layers=2, mapping_fmaps=16, fmap_base=8192, fmap_max=128)
SMALL = CoModConfig(resolution=32, z_dim=16, w_dim=24, mapping_layers=2, mapping_fmaps=16, fmap_base=128, fmap_max=16)


def comodgan(config=WIDE):
    return filled(CoModGenerator(config))


def picture(r=64, n=1, box=None):
    torch.manual_seed(1)
    mask = torch.zeros(n, 1, r, r)
    top, bottom, left, right = box or (4, r // 2, 6, r - 4)
    mask[..., top:bottom, left:right] = 1
    return torch.rand(n, 3, r, r) * 2 - 1, mask


def close(found, wanted, limit=1e-4):
    assert found.shape == wanted.shape and found.dtype == wanted.dtype
    assert ((found - wanted).abs().max() / wanted.std()).item() < limit


@pytest.mark.parametrize("config", [WIDE, SMALL, CoModConfig(resolution=8, fmap_max=8, mapping_layers=1),
                                    CoModConfig(resolution=32, fmap_base=64, fmap_max=12, style_mod=False),
                                    CoModConfig(resolution=32, fmap_base=64, fmap_max=12, cond_mod=False)])
@pytest.mark.parametrize("noise_mode", ["const", "random", "none"])
@torch.inference_mode()
def test_comodgan_gives_the_numbers_of_the_network(config, noise_mode):
    net, (image, mask) = comodgan(config), picture(config.resolution, 2)
    w = latents.sample(net, [1, 2])

    def run():
        encoding = net.encode(image, mask, generators=latents.generators([3, 4], "dropout"))
        return encoding, net.decode(encoding, w, noise_mode, latents.generators([5, 6], "noise"))

    with plain_form():
        assert fast_form(net, FastCoModGAN) is None
        wanted_encoding, wanted = run()
    encoding, found = run()
    assert fast_form(net, FastCoModGAN) is not None
    close(found, wanted)
    close(encoding.code, wanted_encoding.code)
    for res, skip in wanted_encoding.skips.items():
        close(encoding.skips[res], skip)
    known = (mask == 0).expand_as(image)
    assert torch.equal(found[known], image[known])


@torch.inference_mode()
def test_translation_without_a_hole():
    net = comodgan(CoModConfig(resolution=32, fmap_base=64, fmap_max=12, pix2pix=True, condition_channels=5))
    image, w = torch.randn(1, 5, 32, 32), latents.sample(net, [1, 2])
    with plain_form():
        wanted = net.decode(net.encode(image, dropout=False), w)
    close(net.decode(net.encode(image, dropout=False), w), wanted)


@pytest.mark.parametrize("box", [(0, 1, 0, 1), (127, 128, 127, 128), (60, 70, 0, 128), (31, 33, 64, 66),
                                 (0, 128, 0, 128), (100, 128, 3, 30)])
@torch.inference_mode()
def test_only_what_the_hole_needs_is_decoded_and_it_is_right(box):
    net = comodgan(CoModConfig(resolution=128, z_dim=16, w_dim=24, mapping_layers=1, fmap_base=512, fmap_max=16))
    (image, mask), w = picture(128, 1, box), latents.sample(net, [1])
    encoding = net.encode(image, mask, dropout=False)
    with plain_form():
        wanted = net.decode(encoding, w)
    hole = mask.expand_as(image) > 0
    found = net.decode(encoding, w)
    assert (found - wanted)[hole].abs().max() < 1e-4 * wanted.std()
    assert torch.equal(found[~hole], image[~hole])
    empty = net.encode(image, torch.zeros_like(mask), dropout=False)
    assert torch.equal(net.decode(empty, w), image)


def test_boxes_shrink_with_the_hole():
    found = boxes.boxes((200, 260, 40, 90), 512)
    assert found[512] == (192, 264, 32, 96) and found[32] == (0, 32, 0, 32) and found[8] == (0, 8, 0, 8)
    for res in (512, 256, 128):
        (top, bottom, left, right), (up, down, before, after) = found[res], found[res // 2]
        assert up * 2 <= max(top - 2, 0) and down * 2 >= bottom and before * 2 <= max(left - 2, 0)
        assert after * 2 >= right
    assert boxes.boxes((0, 512, 0, 512), 512)[512] == (0, 512, 0, 512)


def test_neither_batch_size_nor_repetition_changes_a_bit():
    net, (image, mask) = comodgan(), picture()
    alone = [next(complete(net, image, mask, seed, size_strategy="original")).image for seed in (1, 2, 3)]
    for i, one in enumerate(complete(net, image, mask, [1, 2, 3], size_strategy="original")):
        assert torch.equal(one.image, alone[i])
    with torch.inference_mode():
        encoding, w = net.encode(image, mask, dropout=False), latents.sample(net, [1, 2, 3])
        together = net.decode(encoding, w)
        assert all(torch.equal(together[i:i + 1], net.decode(encoding, w[i:i + 1])) for i in range(3))


def others():
    torch.manual_seed(2)
    z, feature, image, style = (torch.randn(2, 100), torch.randn(2, 20), torch.rand(2, 3, 64, 64) * 2 - 1,
                                torch.randn(2, 16, 8, 8))
    sg2 = StyleGAN2Generator(StyleGAN2Config(64, (128, 128, 128, 128, 128), z_dim=100, w_dim=32, clamp=1.5))
    maps = StyleMapGAN(StyleMapConfig(64, style_channels=16, channels=(32, 32, 64, 64, 128)))
    big = BigGANGenerator(BigGANConfig(resolution=64, channels=8, z_dim=100, feature_size=20, attention=(32,)))
    for norm in (module for module in big.modules() if hasattr(module, "var")):
        norm.mean.normal_(), norm.var.uniform_(0.5, 2)
    return {"stylegan2": (sg2, lambda net: net.generate(z)), "encode": (maps, lambda net: net.encode(image)),
            "expand": (maps, lambda net: torch.cat([x.flatten() for x in net.expand(style)])),
            "decode": (maps, lambda net: net.decode(style)),
            "levels": (maps, lambda net: net.decode([x[:1] if i else x for i, x in enumerate(net.expand(style))])),
            "biggan": (big, lambda net: net.generate(z, feature))}


@pytest.mark.parametrize("name", ["stylegan2", "encode", "expand", "decode", "levels", "biggan"])
@torch.inference_mode()
def test_the_other_networks_give_their_numbers(name):
    with torch.inference_mode(False):
        net, work = others()[name]
        net = filled(net)
    with plain_form():
        wanted = work(net)
    found = work(net)
    close(found, wanted)
    assert torch.equal(found, work(net))
    net.inference_dtype = torch.bfloat16
    rough = work(net)
    assert rough.dtype == torch.float32 and not torch.equal(rough, found)
    assert 10 * torch.log10((wanted.max() - wanted.min()) ** 2 / (rough - wanted).square().mean()) > 40


def test_it_follows_the_weights():
    net, (image, mask) = comodgan(SMALL), picture(32)
    w = latents.sample(net, [1])

    def run():
        with torch.no_grad():
            return net.decode(net.encode(image, mask, dropout=False), w)

    first = run()
    with torch.no_grad():
        net.synthesis.b8.conv0.weight.mul_(1.5)
    second = run()
    assert not torch.equal(first, second)
    with plain_form():
        close(second, run())
    net.load_state_dict({key: value * 0.9 for key, value in net.state_dict().items()})
    third = run()
    with plain_form():
        close(third, run())
    assert run().dtype == torch.float32 and net.double() is net and net.encode(image, mask).code.dtype == torch.float64


def test_it_is_used_only_where_it_may_be():
    net = comodgan(SMALL)

    def used():
        return fast_form(net, FastCoModGAN) is not None

    assert used()
    net.synthesis.requires_grad_(True)
    assert not used()                               # gradients are wanted
    net.requires_grad_(False)
    assert fast_form(net, FastCoModGAN, torch.ones(1, requires_grad=True)) is None
    with torch.no_grad():
        assert used()
        net.train()
        assert not used()
        net.eval()
        with torch.autocast("cpu", torch.bfloat16):
            assert not used()
        with torch.device("meta"):
            other = CoModGenerator(SMALL).eval()
        assert fast_form(other, FastCoModGAN) is None
        assert fast_form(copy.deepcopy(net).half(), FastCoModGAN) is None
    w = latents.sample(net, [1]).requires_grad_()
    image, mask = picture(32)
    net.decode(net.encode(image, mask, dropout=False), w).sum().backward()
    assert w.grad.abs().sum() > 0


def test_it_goes_with_the_network():
    net = comodgan(SMALL)
    with torch.no_grad():
        form = weakref.ref(fast_form(net, FastCoModGAN))
    twin = copy.deepcopy(net)
    assert twin not in forms._forms and form() is not None
    del net
    gc.collect()
    assert form() is None


@torch.inference_mode()
def test_the_built_in_model_in_bfloat16():
    net, generator = load_model("avatars-64"), torch.Generator().manual_seed(0)
    image, mask = torch.rand(1, 3, 64, 64, generator=generator).repeat(1, 1, 1, 1) * 0.4, picture(64)[1]
    encode = lambda: net.decode(net.encode(image, mask, dropout=False), latents.sample(net, range(4)))  # noqa: E731
    wanted = encode()
    net.inference_dtype = torch.bfloat16
    error = (encode() - wanted)[(mask > 0).expand_as(wanted)].square().mean()
    assert 10 * torch.log10(4 / error) > 40


def test_number_format_of_a_large_network(tmp_path, monkeypatch):
    large = CoModConfig(resolution=256, z_dim=8, w_dim=8, mapping_layers=1, fmap_base=256, fmap_max=4)
    for name, config in (("large", large), ("small", SMALL)):
        save_networks(tmp_path / f"{name}.safetensors", {"generator": CoModGenerator(config)})
    monkeypatch.setattr(loading, "good_at_bfloat16", lambda: True)
    assert load_model(tmp_path / "large.safetensors").inference_dtype == torch.bfloat16
    assert load_model(tmp_path / "large.safetensors", dtype=torch.float32).inference_dtype is None
    assert load_model(tmp_path / "small.safetensors").inference_dtype is None
    monkeypatch.setattr(loading, "good_at_bfloat16", lambda: False)
    assert load_model(tmp_path / "large.safetensors").inference_dtype is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what is mapped")
def test_mapped_weights_are_handed_back_unless_they_were_changed(tmp_path):
    path = save_networks(tmp_path / "net.safetensors", {"generator": comodgan()})
    net, untouched = (load_networks(path)[0]["generator"] for _ in range(2))
    wanted = [parameter.clone() for parameter in net.parameters()]
    assert memory.hand_back(net.parameters()) > path.stat().st_size // 2
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), wanted, strict=True))
    with torch.no_grad():
        net.w_avg.add_(1)
        net.encoder.from_rgb.weight.fill_(7)
    memory.hand_back(net.parameters())
    assert (net.encoder.from_rgb.weight == 7).all() and (net.w_avg == 1).all()
    assert not (untouched.encoder.from_rgb.weight == 7).all()


def test_loading_imports_no_compiler(tmp_path):
    path = save_networks(tmp_path / "net.safetensors", {"generator": comodgan(SMALL)})
    program = ("import sys; from comod_core import load_model; net = load_model(sys.argv[1]); "
               "print('torch._dynamo' in sys.modules, 'sympy' in sys.modules, len(net.info.sha256))")
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "64"]


@torch.inference_mode()
def test_an_encoding_keeps_its_numbers_while_others_come_and_go():
    net, (image, mask) = comodgan(), picture()
    first = net.encode(image, mask)
    assert fast_form(net, FastCoModGAN) is not None
    kept = {res: skip.clone() for res, skip in first.skips.items()}
    for shift in (0.1, 0.2, 0.3):
        other = net.encode(image - shift, mask)
        wanted = {res: skip.clone() for res, skip in other.skips.items()}
        net.decode(other, latents.sample(net, [1]))
        assert all(torch.equal(other.skips[res], wanted[res]) for res in wanted)
    assert all(torch.equal(first.skips[res], kept[res]) for res in kept)
