"""The Triton kernels without a GPU: every one against its reference maths under Triton's interpreter."""
import logging
import os
import subprocess
import sys

import pytest
import torch

from comod_core.networks import CoModConfig, CoModGenerator
from comod_core.ops import bias_act, kernels, modulated_conv2d, setup_filter, upfirdn2d, upsample2d

if torch.cuda.is_available():
    pytest.skip("the same is tested on the GPU: pytest -m gpu", allow_module_level=True)
os.environ["TRITON_INTERPRET"] = "1"  # read when the kernels are imported, below
pytest.importorskip("triton", reason="triton is not installed")

from kernel_cases import (  # noqa: E402
    FILTERS,
    FINISHES,
    LAYOUTS,
    OPERANDS,
    SHAPES,
    check_fir,
    check_gradients,
    check_pointwise,
    operands,
    switch_on,
)

from comod_core.ops.kernels.fir import _fir  # noqa: E402
from comod_core.ops.kernels.pointwise import _pointwise, _slope  # noqa: E402

HALVES = [torch.float16, torch.bfloat16]


@pytest.fixture
def on(monkeypatch):
    switch_on(monkeypatch)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_pointwise_in_every_layout(layout):
    check_pointwise("cpu", torch.float32, layout, (2, 3, 5, 7), ("scale", "noise", "bias"), "lrelu")


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("layout", ["plain", "channels_last"])
def test_pointwise_of_every_shape(shape, layout):
    check_pointwise("cpu", torch.float32, layout, shape, ("scale", "noise", "bias"), "lrelu", rows=1)


@pytest.mark.parametrize(("wanted", "act"), [*((wanted, "lrelu") for wanted in OPERANDS),
                                             *(((), act) for act in FINISHES)])
def test_pointwise_with_every_operand(wanted, act):
    check_pointwise("cpu", torch.float32, "plain", (2, 3, 2, 3), wanted, act)


@pytest.mark.parametrize("dtype", [*HALVES, torch.float64])
def test_pointwise_in_other_dtypes(dtype):
    check_pointwise("cpu", dtype, "channels_last", (2, 3, 5, 7), ("scale", "noise", "bias"), "lrelu")


@pytest.mark.parametrize("filtered", FILTERS, ids=str)
def test_fir_is_upfirdn2d(filtered):
    check_fir("cpu", torch.float32, "plain", (1, 2, 7, 6), filtered)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_fir_in_every_layout(layout):
    check_fir("cpu", torch.float32, layout, (1, 3, 4, 5), FILTERS[1], ("scale", "noise", "bias"), "clamped")


@pytest.mark.parametrize("shape", [(1, 70, 4, 10), (1, 1, 9, 130), (0, 3, 4, 4)], ids=str)
@pytest.mark.parametrize("layout", ["plain", "channels_last"])
def test_fir_of_several_tiles(shape, layout):
    check_fir("cpu", torch.float32, layout, shape, FILTERS[1], ("scale", "noise", "bias"), "lrelu")


@pytest.mark.parametrize("dtype", [*HALVES, torch.float64])
def test_fir_in_other_dtypes(dtype):
    check_fir("cpu", dtype, "channels_last", (1, 3, 4, 5), FILTERS[1], ("scale", "bias"), "lrelu")


@pytest.mark.parametrize(("op", "act", "rows", "order"), [("pointwise", "clamped", 1, 2), ("up", "lrelu", 2, 1)])
def test_gradients_by_differences(op, act, rows, order):
    check_gradients("cpu", op, act, rows=rows, order=order)


def test_registered_ops_hold_what_torch_asks_of_them():
    x, parts = operands((2, 3, 4, 5), layout="channels_last")
    taps, tail = setup_filter(), [True, 0.2, 1.5, -1.0]
    for op, arguments in ((_pointwise, [x.requires_grad_(), *parts.values(), *tail]),
                          (_slope, [x, x.detach() + 1, *tail]),
                          (_fir, [x, taps, *parts.values(), 1, 1, [2, 1, 2, 1], 4.0, *tail])):
        torch.library.opcheck(op, arguments, test_utils=("test_schema", "test_autograd_registration",
                                                         "test_faketensor"))


def block(x, weight, style, noise, bias):
    y = modulated_conv2d(x, weight, style, up=True, fir=setup_filter(), noise=noise, bias=bias, act="lrelu")
    y = upfirdn2d(y, setup_filter(), down=2, padding=(1, 1, 1, 1), bias=bias, act="lrelu", clamp=2.0)
    return upsample2d(modulated_conv2d(y, weight, style, noise=noise[..., :6, :6], bias=bias, act="lrelu"),
                      setup_filter())


def inputs():
    torch.manual_seed(0)
    return (torch.randn(2, 5, 6, 6), torch.randn(5, 5, 3, 3), torch.randn(2, 5), torch.randn(1, 1, 12, 12),
            torch.randn(5))


def test_ops_with_kernels_are_the_ops_without(monkeypatch):
    expected = block(*inputs())
    switch_on(monkeypatch)
    torch.testing.assert_close(block(*inputs()), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dim", [0, 1, 2, -1])
def test_bias_act_along_any_axis(on, dim):
    x, bias = torch.randn(3, 4, 5), torch.randn([3, 4, 5][dim])
    expected = torch.nn.functional.leaky_relu(x.movedim(dim, -1) + bias, 0.2).movedim(-1, dim) * 2 ** 0.5
    torch.testing.assert_close(bias_act(x, bias, "lrelu", dim=dim), expected)


def test_first_and_second_gradients_are_those_without_kernels(monkeypatch):
    def gradients():
        leaves = [part.requires_grad_() for part in inputs()]
        first = torch.autograd.grad(block(*leaves).square().mean(), leaves, create_graph=True)
        return *first, *torch.autograd.grad(sum(part.square().sum() for part in first), leaves)

    expected = gradients()
    switch_on(monkeypatch)
    for found, wanted in zip(gradients(), expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-4)


def test_compiled_and_exported_graphs_hold_the_kernels(on):
    graphs = []

    def look(graph, _):
        graphs.append(graph)
        return graph

    found = torch.compile(block, backend=look, fullgraph=True)(*inputs())
    torch.testing.assert_close(found, block(*inputs()))

    class Block(torch.nn.Module):
        forward = staticmethod(block)

    exported = torch.export.export(Block(), inputs())
    torch.testing.assert_close(exported.module()(*inputs()), found)
    for graph in (graphs[0], exported.graph_module):
        names = [str(node.target) for node in graph.graph.nodes if node.op == "call_function"]
        assert sum(".pointwise" in name for name in names) == 3, names
        assert sum(".fir" in name for name in names) == 3, names


def test_autocast_leaves_the_convolutions_dtype(on):
    with torch.autocast("cpu", torch.bfloat16):
        low = block(*inputs())
    full = block(*inputs())
    assert low.dtype == torch.bfloat16
    assert (low.float() - full).abs().max() < 0.05 * full.abs().max()


def test_a_network_with_kernels_is_the_network_without(monkeypatch):
    torch.manual_seed(0)
    net = CoModGenerator(CoModConfig(resolution=16, z_dim=8, w_dim=8, mapping_layers=1, mapping_fmaps=8, fmap_base=64,
                                     fmap_max=8)).eval().requires_grad_(False)
    image, mask = torch.rand(1, 3, 16, 16) * 2 - 1, torch.ones(1, 1, 16, 16)
    w = net.map(torch.randn(2, 8))
    expected = net.decode(net.encode(image, mask, dropout=False), w)
    switch_on(monkeypatch)
    torch.testing.assert_close(net.decode(net.encode(image, mask, dropout=False), w), expected, atol=1e-5, rtol=1e-5)


def test_plain_pytorch_is_used_without_a_gpu_and_nothing_is_said():
    assert not kernels.usable(torch.ones(2, 2))


@pytest.mark.parametrize(("why", "capability", "environment"), [
    ("COMOD_KERNELS=0", (9, 0), {"COMOD_KERNELS": "0"}), ("7.0 is below 7.5", (7, 0), {}),
    ("the trial failed", (8, 0), {})])
def test_the_log_says_once_why_kernels_are_left_out(monkeypatch, caplog, why, capability, environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "a GPU")
    monkeypatch.setattr(kernels, "_ready", {})
    with caplog.at_level(logging.INFO, "comod"):
        assert not kernels.prepare("cuda:0") and not kernels.prepare("cuda:0")
    assert len(caplog.records) == 1
    assert "plain PyTorch on a GPU" in caplog.text and why in caplog.text


def test_importing_the_core_imports_no_triton():
    code = "import sys, comod_core, comod_core.ops, comod_core.networks; assert 'triton' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
