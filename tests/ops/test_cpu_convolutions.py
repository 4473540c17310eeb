"""Winograd's and prepacked convolutions on strips of planes, against the plain ones."""
from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from comod_core.networks.fast.modulated import run
from comod_core.ops import prepacked, setup_filter, upfirdn2d
from comod_core.ops.modulated_conv2d import modulated_conv2d_reference
from comod_core.ops.phases import Phases
from comod_core.ops.planes import plane
from comod_core.ops.prepacked import direct, has_prepacking
from comod_core.ops.scratch import Scratch, empty
from comod_core.ops.winograd import winograd

FIR = setup_filter()


def filled(x, margin, dtype=torch.float32):
    """[C,H,W] as a plane."""
    found = plane(x.shape[1], x.shape[2], x.shape[0], margin, dtype)
    found.inside.copy_(x.permute(1, 2, 0))
    return found


def result(kernel, x, size, channels, margin=1, dtype=torch.float32, **how):
    out = plane(*size, channels, 1, dtype)
    run(kernel, filled(x, margin, dtype), out, Scratch(dtype), margin=margin, **how)
    assert not out.whole[0].any() and not out.whole[:, -1].any()
    return out.inside.permute(2, 0, 1).float()


def close(found, wanted, limit=2e-5):
    assert ((found - wanted).abs().max() / wanted.std()).item() < limit


@pytest.fixture
def some():
    torch.manual_seed(0)
    return torch.randn(20, 36, 24), torch.randn(12, 20, 3, 3), torch.randn(12)


@pytest.mark.parametrize("strip", [1, 1 << 9, 1 << 20])
def test_winograd(some, strip, monkeypatch):
    monkeypatch.setattr("comod_core.ops.winograd._STRIP_NUMBERS", strip)
    x, weight, bias = some
    wanted = F.conv2d(x[None], weight, bias, padding=1)[0]
    close(result(winograd(weight, bias), x, (36, 24), 12, slope=None), wanted)
    close(result(winograd(weight), x, (36, 24), 12, slope=0.2),
          F.leaky_relu(F.conv2d(x[None], weight, padding=1)[0], 0.2))


@pytest.mark.parametrize("make", [winograd, lambda weight, bias: direct(weight, bias, demodulated=True)])
def test_style_and_noise(some, make):
    x, weight, bias = some
    scale, demod, noise = torch.randn(20), torch.rand(12) + 0.5, torch.randn(36, 24)
    wanted = F.conv2d((x * scale[:, None, None])[None], weight, padding=1)[0] * demod[:, None, None]
    wanted = F.leaky_relu(wanted + bias[:, None, None] + noise, 0.2)
    close(result(make(weight, bias), x, (36, 24), 12, noise=noise, scale=scale, demod=demod), wanted)


@pytest.mark.parametrize("dtype,limit", [(torch.float32, 2e-5), (torch.bfloat16, 0.1)])
@pytest.mark.parametrize("strip", [1, 1 << 30])
@pytest.mark.parametrize("private", [True, False])
def test_direct(some, dtype, limit, strip, private, monkeypatch):
    monkeypatch.setattr(prepacked, "_STRIP_BYTES", strip)
    monkeypatch.setattr(prepacked, "has_prepacking", lambda: private and has_prepacking())
    x, weight, bias = some
    plain = F.conv2d(x[None], weight, bias, padding=1)[0]
    close(result(direct(weight, bias, dtype=dtype), x, (36, 24), 12, dtype=dtype, slope=None), plain, limit)
    up = direct(weight, bias, "up", FIR, dtype)
    style = torch.ones(1, 20)
    wanted = modulated_conv2d_reference(x[None], weight, style, False, True, FIR)[0] + bias[:, None, None]
    close(result(up, x, (72, 48), 12, dtype=dtype, factor=2, slope=None), wanted, limit)
    down = direct(weight, bias, "down", FIR, dtype)
    wanted = F.conv2d(upfirdn2d(x[None], FIR, padding=(2, 2, 2, 2)), weight, bias, stride=2)[0]
    close(result(down, x, (18, 12), 12, margin=2, dtype=dtype, factor=0.5, slope=None), wanted, limit)


    twice = direct(weight, bias, "twice", dtype=dtype)
    wanted = F.conv2d(F.interpolate(x[None], scale_factor=2), weight, bias, padding=1)[0]
    close(result(twice, x, (72, 48), 12, dtype=dtype, factor=2, slope=None), wanted, limit)
    wanted = wanted.mul(bias[:, None, None]).add(0.5).relu()
    norm = bias, torch.full([12], 0.5)
    close(result(twice, x, (72, 48), 12, dtype=dtype, factor=2, slope=0.0, norm=norm), wanted, limit)


@pytest.mark.parametrize("make", [winograd, direct])
def test_normalisation_of_what_was_convolved(some, make):
    x, weight, bias = some
    wanted = F.conv2d(x[None], weight, bias, padding=1)[0].mul(bias[:, None, None]).sub(0.5).relu()
    close(result(make(weight, bias), x, (36, 24), 12, slope=0.0, norm=(bias, torch.full([12], -0.5))), wanted)


@pytest.mark.parametrize("dtype,limit", [(torch.float32, 2e-5), (torch.bfloat16, 0.1)])
@pytest.mark.parametrize("private", [True, False])
def test_up_by_plain_convolutions(some, dtype, limit, private, monkeypatch):
    monkeypatch.setattr(prepacked, "has_prepacking", lambda: private and has_prepacking())
    x, weight, _ = some
    found = Phases(weight.to(dtype), prepacked.convolution)(
        x[None].to(dtype).contiguous(memory_format=torch.channels_last), Scratch(dtype))
    close(found.float(), F.conv_transpose2d(x[None], weight.transpose(0, 1), stride=2, padding=1), limit)


@pytest.mark.skipif(not has_prepacking(), reason="no weights in an order of oneDNN's own")
@pytest.mark.parametrize("transposed", [False, True])
def test_one_weight_serves_every_size(transposed):
    torch.manual_seed(0)
    weight = torch.randn(96, 96, 3, 3)
    packed = prepacked.convolution(weight, None, 2 if transposed else 1, transposed=transposed, size=(32, 32))
    for size in ((6, 6), (34, 66), (19, 130), (66, 258), (6, 6)):
        x = torch.randn(1, 96, *size).contiguous(memory_format=torch.channels_last)
        wanted = F.conv_transpose2d(x, weight, stride=2) if transposed else F.conv2d(x, weight)
        close(packed(x, None), wanted)
        again = packed(x, None)
        assert torch.equal(again, packed(x, None)) and len(packed.held) <= prepacked._MOST_ORDERS


def test_strips_leave_no_small_rest():
    kernel = direct(torch.randn(64, 64, 3, 3))
    for width, height in ((512, 512), (512, 36), (256, 20), (64, 64), (8, 8), (1024, 1024)):
        rows = kernel.rows(width, height)
        assert rows % 4 == 0 and (height % rows == 0 or height % rows >= rows // 4 or height <= rows)


def test_prepacking_is_there_or_not():
    assert has_prepacking() in (True, False)
    if torch.backends.mkldnn.is_available():
        assert has_prepacking()


def test_parts_of_pictures(some):
    x, weight, bias = some
    wanted = F.leaky_relu(F.conv2d(x[None], weight, bias, padding=1)[0], 0.2)
    for kernel in (winograd(weight, bias), direct(weight, bias)):
        out = plane(16, 8, 12, 1, torch.float32, top=8, left=12)
        out.whole.fill_(9)
        run(kernel, filled(x, 1), out, Scratch(), (8, 24, 12, 20))
        close(out.inside.permute(2, 0, 1), wanted[:, 8:24, 12:20])
        assert (out.whole[0] == 9).all() and (out.whole[:, -1] == 9).all()


def test_scratch_is_used_again():
    scratch = Scratch()
    first = scratch.take("a", 1000)
    assert scratch.take("a", 500).data_ptr() == first.data_ptr() != scratch.take("b", 500).data_ptr()
    assert len(scratch.take("a", 2000)) == 2000
    assert empty(1 << 21, torch.bfloat16).shape == (1 << 21,)


def test_lent_memory_is_used_again_when_nothing_refers_to_it_and_not_before():
    scratch = Scratch()
    first = scratch.lend("skip", 5000).fill_(1)
    where, part = first.data_ptr(), first.view(50, 100)[3:].detach()
    del first
    second = scratch.lend("skip", 5000).fill_(2)
    assert second.data_ptr() != where and (part == 1).all()
    newest = second.data_ptr()
    del second
    assert scratch.lend("skip", 5000).data_ptr() == newest
    assert scratch.lend("skip", 6000).shape == (6000,) and scratch.lend("other", 6000).dtype == torch.float32
