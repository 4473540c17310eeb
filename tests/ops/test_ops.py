"""Each op against its reference maths, its gradients to second order, and its shapes."""
import numpy as np
import pytest
import torch
from scipy import signal
from torch.autograd import gradcheck, gradgradcheck

from comod_core.ops import bias_act, modulated_conv2d, setup_filter, upfirdn2d, upsample2d
from comod_core.ops.bias_act import bias_act_reference
from comod_core.ops.modulated_conv2d import modulated_conv2d_reference
from comod_core.ops.upfirdn2d import upfirdn2d_reference

DOUBLE = torch.float64


def draw(*shape, dtype=DOUBLE, grad=True, seed=0):
    x = torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed + sum(shape)))
    return x.requires_grad_(grad)


@pytest.mark.parametrize("act", ["linear", "lrelu"])
@pytest.mark.parametrize("shape,dim", [((2, 3, 4, 5), 1), ((4, 6), 1), ((2, 4, 3), 2), ((3, 5), -1)])
def test_bias_act_is_its_reference(act, shape, dim):
    x, b = draw(*shape, grad=False), draw(shape[dim], grad=False, seed=9)
    gain = 2 ** 0.5 if act == "lrelu" else 1.0
    torch.testing.assert_close(bias_act(x, b, act, dim=dim), bias_act_reference(x, b, act, 0.2, gain, dim))


def test_bias_act_values_by_hand():
    y = bias_act(torch.tensor([[1.0, -1.0]]), torch.tensor([1.0, -1.0]), "lrelu", gain=10.0)
    assert y.flatten().tolist() == pytest.approx([20.0, -4.0])


def test_bias_act_gradients():
    x, b = draw(2, 3, 4, 4), draw(3, seed=3)
    assert gradcheck(lambda x, b: bias_act(x, b, "lrelu"), (x, b))
    assert gradgradcheck(lambda x, b: bias_act(x, b, "lrelu"), (x, b))


def test_bias_act_unknown_activation():
    with pytest.raises(KeyError):
        bias_act(draw(1, 1), act="tanhh")


CASES = [(up, down, padding) for up in (1, 2, 3) for down in (1, 2)
         for padding in [(0, 0, 0, 0), (2, 1, 2, 1), (1, 1, 1, 1), (3, 0, 1, 2), (-1, 2, 0, -1)]]


@pytest.mark.parametrize("up,down,padding", CASES)
def test_upfirdn2d_is_its_reference(up, down, padding):
    x = draw(2, 3, 7, 8, grad=False)
    kernel = draw(4, 3, grad=False, seed=5)     # neither square nor symmetric: orientation errors show
    fast = upfirdn2d(x, kernel, up=up, down=down, padding=padding, gain=1.7)
    torch.testing.assert_close(fast, upfirdn2d_reference(x, kernel, up, down, padding, 1.7))


def test_upfirdn2d_is_scipys_upfirdn():
    x, taps = np.random.default_rng(0).normal(size=13), np.array([1.0, -2.0, 3.0, 0.5])
    ours = upfirdn2d(torch.from_numpy(x)[None, None, None], torch.from_numpy(taps)[None], up=1, padding=(3, 3, 0, 0))
    np.testing.assert_allclose(ours.flatten(), signal.upfirdn(taps, x), rtol=1e-12)


@pytest.mark.parametrize("autocast", [False, True])
def test_upfirdn2d_gradients_in_bfloat16(autocast):
    torch.manual_seed(0)
    x, kernel = torch.randn(2, 16, 16, 16), setup_filter()
    wanted_x, found_x = x.clone().requires_grad_(), (x if autocast else x.bfloat16()).requires_grad_()
    wanted = upfirdn2d(wanted_x, kernel, down=2, padding=(1, 1, 1, 1))
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = upfirdn2d(found_x, kernel, down=2, padding=(1, 1, 1, 1))
    assert found.dtype == torch.bfloat16
    found.float().square().sum().backward()
    wanted.square().sum().backward()
    torch.testing.assert_close(found_x.grad.float(), wanted_x.grad, rtol=0.05, atol=0.02)


@pytest.mark.parametrize("up,down,padding", [(2, 1, (2, 1, 2, 1)), (1, 2, (1, 1, 1, 1)), (2, 1, (3, 0, 1, 2))])
def test_upfirdn2d_gradients(up, down, padding):
    x, kernel = draw(1, 2, 4, 4), setup_filter().to(DOUBLE)
    assert gradcheck(lambda x: upfirdn2d(x, kernel, up=up, down=down, padding=padding), (x,))
    assert gradgradcheck(lambda x: upfirdn2d(x, kernel, up=up, down=down, padding=padding), (x,))


def test_upsample_keeps_a_constant_picture():
    y = upsample2d(torch.ones(1, 3, 8, 8), setup_filter())
    assert y.shape == (1, 3, 16, 16)
    torch.testing.assert_close(y[..., 2:-2, 2:-2], torch.ones(1, 3, 12, 12))


@pytest.mark.parametrize("up,kernel", [(False, 1), (False, 3), (True, 3)])
@pytest.mark.parametrize("demodulate", [False, True])
def test_modulated_conv2d_is_its_reference(up, demodulate, kernel):
    x, weight, style = draw(3, 4, 6, 6, grad=False), draw(5, 4, kernel, kernel, grad=False), draw(3, 4, grad=False)
    fir = setup_filter().to(DOUBLE)
    noise = draw(3, 1, 12 if up else 6, 12 if up else 6, grad=False)
    fast = modulated_conv2d(x, weight, style, demodulate=demodulate, up=up, fir=fir, noise=noise)
    torch.testing.assert_close(fast, modulated_conv2d_reference(x, weight, style, demodulate, up, fir, noise))
    assert fast.shape == (3, 5, 12 if up else 6, 12 if up else 6)


def test_demodulation_gives_unit_variance():
    x, weight, style = torch.randn(8, 64, 16, 16), torch.randn(32, 64, 3, 3) * 5, torch.rand(8, 64) + 0.5
    y = modulated_conv2d(x, weight, style)[..., 1:-1, 1:-1]
    assert 0.9 < y.std() < 1.1


@pytest.mark.parametrize("up", [False, True])
def test_modulated_conv2d_gradients(up):
    x, weight, style, fir = draw(2, 2, 3, 3), draw(2, 2, 3, 3, seed=1), draw(2, 2), setup_filter().to(DOUBLE)
    assert gradcheck(lambda *a: modulated_conv2d(*a, up=up, fir=fir), (x, weight, style))
    assert gradgradcheck(lambda *a: modulated_conv2d(*a, up=up, fir=fir), (x, weight, style))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_close(dtype):
    x, weight, style = (draw(*s, dtype=torch.float32, grad=False) for s in ((2, 8, 8, 8), (8, 8, 3, 3), (2, 8)))
    full = modulated_conv2d(x, weight, style, up=True, fir=setup_filter())
    low = modulated_conv2d(x.to(dtype), weight, style, up=True, fir=setup_filter())
    assert low.dtype == dtype
    assert (low.float() - full).abs().max() < 0.06 * full.abs().max()


def test_channels_last_is_kept():
    x = torch.randn(2, 8, 16, 16).contiguous(memory_format=torch.channels_last)
    y = upfirdn2d(x, setup_filter(), up=2, padding=(2, 1, 2, 1))
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert bias_act(x, torch.zeros(8), "lrelu").is_contiguous(memory_format=torch.channels_last)


def test_ops_trace_without_graph_breaks():
    def block(x, weight, style, bias):
        y = modulated_conv2d(x, weight, style, up=True, fir=setup_filter())
        return bias_act(upfirdn2d(y, setup_filter(), down=2, padding=(1, 1, 1, 1)), bias, "lrelu")

    x, weight, style = draw(1, 4, 8, 8, dtype=torch.float32), draw(4, 4, 3, 3, dtype=torch.float32), draw(1, 4).float()
    # the eager backend traces the whole function and needs no compiler; fullgraph raises on any break
    compiled = torch.compile(block, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x, weight, style, torch.ones(4)), block(x, weight, style, torch.ones(4)))
