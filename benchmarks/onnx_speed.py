"""ONNX Runtime beside PyTorch on this machine's CPU: the graphs of `comod export --onnx`, in turn in one process.

    python benchmarks/onnx_speed.py [MODEL ...] [--runs 9]

Both get as many threads as PyTorch has by itself. A pass of one and of the other alternate; the medians are written to
benchmarks/onnx_speed.json and benchmarks/onnx_speed.md. PyTorch runs the network as the doors do, in its fast form.
"""
from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import onnxruntime  # noqa: E402

from comod_core.exporting import Graph, export_onnx, graphs_of  # noqa: E402
from comod_core.files import atomic_write  # noqa: E402
from comod_core.loading import load_model  # noqa: E402
from comod_core.networks import CoModGenerator, Encoding  # noqa: E402


@torch.inference_mode()
def measure(name: str, runs: int, folder: Path) -> dict[str, dict]:
    """Median milliseconds of both, and their ratio, a graph and a number of samples."""
    net, rows = load_model(name, dtype=torch.float32), {}
    with torch.inference_mode(False):
        paths = export_onnx(net, folder / net.info.name)
        graphs = graphs_of(net)
    for graph, path in zip(graphs, paths, strict=True):
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = torch.get_num_threads()
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")   # else they take PyTorch's cores
        session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
        names = {one.name for one in session.get_inputs()}
        for count in (1, 4):
            values = graph.example(count)
            given = {key: value.numpy() for key, value in zip(graph.inputs, values, strict=True) if key in names}
            times: dict[str, list[float]] = {"PyTorch (ms)": [], "ONNX Runtime (ms)": []}
            for turn in range(runs + 1):
                for way, run in (("PyTorch (ms)", as_the_doors_do(net, graph, values)),
                                 ("ONNX Runtime (ms)", lambda session=session, given=given: session.run(None, given))):
                    start = time.perf_counter()
                    run()
                    times[way] += [1e3 * (time.perf_counter() - start)] if turn else []
            row = {way: round(statistics.median(found), 1) for way, found in times.items()}
            row["PyTorch / ONNX Runtime"] = round(row["PyTorch (ms)"] / row["ONNX Runtime (ms)"], 2)
            rows[f"{net.info.name}, {graph.name}, {count}"] = row
            print(net.info.name, graph.name, count, row, flush=True)
    return rows


def as_the_doors_do(net: torch.nn.Module, graph: Graph, values: list[torch.Tensor]) -> Callable[[], object]:
    """The same work through the network's own function, which has a fast form."""
    if not (isinstance(net, CoModGenerator) and graph.name == "decode"):
        return lambda: graph(*values)
    given = dict(zip(graph.inputs, values, strict=True))
    skips = {int(name[5:]): part for name, part in given.items() if name.startswith("skip_")}
    code = given["code"]
    encoding = Encoding(code, code, skips, given["kept_image"], given["kept_mask"])
    return lambda: net.decode(encoding, net.w_avg + given["psi"] * (net.map(given["z"]) - net.w_avg))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["avatars-64"])
    parser.add_argument("--runs", type=int, default=9)
    options = parser.parse_args()
    rows: dict[str, dict] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in options.models:
            rows |= measure(name, options.runs, Path(folder))
    machine = (f"{torch.get_num_threads()} threads, {platform.machine()} {platform.system()}, torch "
               f"{torch.__version__}, onnxruntime {onnxruntime.__version__}, float32")
    columns = list(next(iter(rows.values())))
    lines = [f"Median of {options.runs} runs in turn; {machine}.", "",
             "| model, graph, samples | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|",
             *(f"| {name} | " + " | ".join(str(row[c]) for c in columns) + " |" for name, row in rows.items())]
    record = json.dumps({"machine": machine, "rows": rows}, indent=1)
    for suffix, text in ((".json", record), (".md", "\n".join(lines))):
        with atomic_write(Path(__file__).with_suffix(suffix), "w") as file:
            file.write(text + "\n")


if __name__ == "__main__":
    main()
