"""Single layers of CoModGAN 512 in the ways they can be done on a CPU, and where the time of the whole goes.

    python benchmarks/layers.py         # about half a minute on two cores

For each layer and number format: GFLOP/s (as the plain convolution counts them) of the whole picture at once, of
strips, of Winograd's way (float32), of the FIR folded into the up-convolution's kernel; GB/s of what goes through
memory. Then the operators of an encoding and of a decoding by their time. Writes benchmarks/layers.json and layers.txt,
or into --out.
"""
from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.profiler import ProfilerActivity, profile

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from comod_core import speed  # noqa: E402
from comod_core.files import atomic_write  # noqa: E402
from comod_core.networks.fast import good_at_bfloat16  # noqa: E402
from comod_core.networks.fast.modulated import run  # noqa: E402
from comod_core.ops import prepacked, setup_filter  # noqa: E402
from comod_core.ops.planes import plane  # noqa: E402
from comod_core.ops.scratch import Scratch  # noqa: E402
from comod_core.ops.winograd import winograd  # noqa: E402

PLAIN = ((512, 16), (512, 32), (512, 64), (256, 128), (128, 256), (64, 512))
UP = ((512, 512, 32), (512, 256, 64), (256, 128, 128), (128, 64, 256))
DOWN = ((64, 128, 512), (128, 256, 256), (256, 512, 128), (512, 512, 64))
STRIPS = (1, 2, 4, 64)  # MiB


def seconds(work) -> float:
    return min(speed.timed(work, "cpu", 3))


def plain(channels: int, size: int, dtype: torch.dtype) -> dict:
    weight, bias = torch.randn(channels, channels, 3, 3) / 60, torch.randn(channels)
    x, scratch = plane(size, size, channels, 1, dtype), Scratch(dtype)
    x.whole.normal_()
    out, count = plane(size, size, channels, 1, dtype), 18 * channels ** 2 * size ** 2 / 1e9
    inner = x.inside.permute(2, 0, 1)[None].contiguous(memory_format=torch.channels_last)
    plain_weight = weight.to(dtype).contiguous(memory_format=torch.channels_last)
    row = {"layer": f"3x3 {channels} at {size}", "torch": count / seconds(
        lambda: F.conv2d(inner, plain_weight, padding=1))}
    row |= _strips(prepacked.direct(weight, bias, dtype=dtype), x, out, scratch, count)
    if dtype == torch.float32:
        kernel = winograd(weight, bias)
        row["Winograd"] = count / seconds(lambda: run(kernel, x, out, scratch))
    values = out.inside
    size_gb = 2 * values.numel() * values.element_size() / 1e9
    row["leaky ReLU GB/s"] = size_gb / seconds(lambda: F.leaky_relu_(values, 0.2))
    noise = torch.randn(size, size, 1).to(dtype)
    row["noise GB/s"] = size_gb / seconds(lambda: values.add_(noise))
    return row


def up(inputs: int, outputs: int, size: int, dtype: torch.dtype) -> dict:
    weight, taps = torch.randn(outputs, inputs, 3, 3) / 60, setup_filter()
    x, out, scratch = plane(size, size, inputs, 1, dtype), plane(2 * size, 2 * size, outputs, 1, dtype), Scratch(dtype)
    x.whole.normal_()
    count = 18 * inputs * outputs * size ** 2 / 1e9
    resample = prepacked.fir(taps, outputs, 4.0, dtype)
    row = {"layer": f"up {inputs} to {outputs} from {size}"}
    row |= _strips(prepacked.direct(weight, None, "up", taps, dtype), x, out, scratch, count, factor=2)
    # the FIR folded in: four 3x3 kernels, one a phase of the output, and 4 times the operations
    folded = prepacked.direct(torch.randn(4 * outputs, inputs, 3, 3) / 60, None, dtype=dtype)
    strip = torch.empty(16, size, 4 * outputs, dtype=dtype)

    def fold() -> None:
        for top in range(0, size, 16):
            folded.strip(x.around(top, top + 16, 0, size, 1), strip)
            phases = strip.view(16, size, 2, 2, outputs).permute(0, 2, 1, 3, 4)
            out.inside[2 * top:2 * top + 32].unflatten(0, (16, 2)).unflatten(2, (size, 2)).copy_(phases)

    row["FIR folded in"] = count / seconds(fold)
    features = torch.randn(1, outputs, 2 * size + 3, 2 * size + 3).to(dtype).to(memory_format=torch.channels_last)
    row["FIR alone, ms"] = 1000 * seconds(lambda: resample(features, None))
    packed = prepacked.convolution(weight.to(dtype).transpose(0, 1).contiguous(), None, 2, transposed=True,
                                   padding=1)
    inner = x.whole.permute(2, 0, 1)[None]
    row["transposed alone, ms"] = 1000 * seconds(lambda: packed(inner, None))
    return row


def down(inputs: int, outputs: int, size: int, dtype: torch.dtype) -> dict:
    weight, taps = torch.randn(outputs, inputs, 3, 3) / 60, setup_filter()
    x, scratch = plane(size, size, inputs, 2, dtype), Scratch(dtype)
    x.whole.normal_()
    out = plane(size // 2, size // 2, outputs, 1, dtype)
    kernel = prepacked.direct(weight, None, "down", taps, dtype)
    return {"layer": f"down {inputs} to {outputs} from {size}"} | _strips(
        kernel, x, out, scratch, 18 * inputs * outputs * size ** 2 / 4e9, factor=0.5, margin=2)


def _strips(kernel, x, out, scratch: Scratch, count: float, **how) -> dict:
    """GFLOP/s of each height of strips."""
    found, usual = {}, prepacked._STRIP_BYTES
    for size in STRIPS:
        prepacked._STRIP_BYTES = size << 20
        found[f"strips of {size} MiB"] = count / seconds(lambda: run(kernel, x, out, scratch, **how))
    prepacked._STRIP_BYTES = usual
    return found


def operators(dtype: torch.dtype) -> str:
    """The time of an encoding and of a decoding, by operator."""
    case = speed.Case(dtype=str(dtype).removeprefix("torch."))
    net, text = speed.place(speed.random_network("comodgan", 512), case), []
    image, mask, z = speed.inputs(net, case)
    w = net.map(z)
    encoding = net.encode(image, mask, dropout=False)
    for name, work in (("encode", lambda: net.encode(image, mask, dropout=False)),
                       ("decode", lambda: net.decode(encoding, w))):
        work()
        with profile(activities=[ProfilerActivity.CPU]) as seen:
            work()
        text += [f"{name}, {case.dtype}", seen.key_averages().table(sort_by="self_cpu_time_total", row_limit=16,
                                                                    max_name_column_width=40)]
    return "\n".join(text)


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks")
    options = parser.parse_args()
    dtypes = [torch.float32] + [torch.bfloat16] * good_at_bfloat16()
    rows, text = [], []
    for dtype in dtypes:
        found = [plain(*layer, dtype) for layer in PLAIN] + [up(*layer, dtype) for layer in UP]
        found += [down(*layer, dtype) for layer in DOWN]
        rows += [{"dtype": str(dtype).removeprefix("torch.")} | row for row in found]
        text.append(operators(dtype))
        save(options.out, rows, text)
    print(speed.table(rows))


def save(folder: Path, rows: list[dict], text: list[str]) -> None:
    record = {"machine": speed.machine("cpu"), "rows": rows}
    for suffix, content in ((".json", json.dumps(record, indent=1)),
                            (".txt", "\n\n".join([record["machine"], speed.table(rows), *text]))):
        with atomic_write((folder / "layers").with_suffix(suffix), "w") as file:
            file.write(content + "\n")


if __name__ == "__main__":
    main()
