"""Write the README's tables from what they describe: `python docs/make_readme.py`.

The nodes come from their schemas, the models from the model table, the credits from the built-in models' files, the
speed from what benchmarks/run.py and onnx_speed.py wrote. The text between `<!-- NAME -->` and `<!-- /NAME -->` is
replaced; everything else is written by hand.
"""
from __future__ import annotations

import importlib
import importlib.util
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
BENCHMARKS = ROOT / "benchmarks"
BUILT_IN = sorted((ROOT / "comod_core" / "models").glob("*.safetensors"))
PICTURES = "docs/images/nodes"


def node_table(nodes) -> str:
    """One row a node: its picture, its name, what it does."""
    rows = ["| node | what it does |", "|---|---|"]
    for node in nodes:
        schema = node.define_schema()
        picture = f"![{schema.display_name}]({PICTURES}/{schema.node_id}.png)"
        rows.append(f"| {picture} | **{schema.display_name}**: {schema.description} |")
    return "\n".join(rows)


def model_table(models) -> str:
    """One row a model: name, what it does, resolution, licence, file with a link to where it comes from."""
    rows = ["| name | what it does | resolution | licence | file |", "|---|---|---|---|---|"]
    for entry in models:
        place = "built in" if entry.built_in else f"[`{entry.file}`]({entry.origin})"
        rows.append(f"| `{entry.name}` | {entry.description} | {entry.resolution} | {entry.licence} | {place} |")
    return "\n".join(rows)


def credits(headers) -> str:
    """What the built-in models were made from, as their files say: one line a work."""
    works = [work for header in headers for work in header["credits"].split("; ")]
    return "\n".join(f"- {work}" for work in dict.fromkeys(works))


NETWORKS = {"comodgan": "CoModGAN", "stylemapgan": "StyleMapGAN, encoder and decoder", "biggan": "IC-GAN, BigGAN",
            "stylegan2": "IC-GAN, StyleGAN2"}


CLOCKS = {"wall": "seconds by the clock, {threads} threads",
          "processor": "seconds of the processor's own time, one thread, because other programs kept the machine busy"}
BUSY = 0.1      # share of the processors that others took, from which seconds by the clock say little


def speed_table(bench: dict, onnx: dict) -> str:
    """One row a network and number format, as benchmarks/run.py measured them; then ONNX Runtime beside PyTorch."""
    rows = [row for row in bench["against the port"] if row["malloc"] == "default"]
    shares = [row["others' share"] for row in rows if row["clock"] == "wall"]
    clock = "wall" if shares and max(shares) < BUSY else "processor"
    rows = [row for row in rows if row["clock"] == clock]
    lines = [f"{bench['machine']}; one picture; {CLOCKS[clock].format(**rows[0])}:", "",
             "| network | number format | seconds | the ports, seconds | times as fast | PSNR to the ports, dB |",
             "|---|---|---|---|---|---|"]
    lines += [f"| {NETWORKS[row['network']]}, {row['size']} | {row['dtype']} | {row['ours (s)']:.2f} | "
              f"{row['port, float32 (s)']:.2f} | {row['times as fast']:.1f} | {row['PSNR (dB)']:.0f} |" for row in rows]
    lines += ["", f"ONNX files on ONNX Runtime ({onnx['machine']}), milliseconds:", "",
              "| model, graph, samples | CoMod on PyTorch | ONNX Runtime |", "|---|---|---|"]
    lines += [f"| {name} | {row['PyTorch (ms)']} | {row['ONNX Runtime (ms)']} |" for name, row in onnx["rows"].items()]
    return "\n".join(lines)


def read_speed() -> str:
    return speed_table(*(json.loads((BENCHMARKS / name).read_text("utf-8"))
                         for name in ("ratios_cpu.json", "onnx_speed.json")))


def filled(text: str, blocks: dict[str, str]) -> str:
    """The README with each named block replaced. Raises KeyError for a block that the README lacks."""
    for name, block in blocks.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
        text, count = re.subn(pattern, lambda found, block=block: f"{found[1]}{block}\n{found[2]}", text, flags=re.S)
        if count != 1:
            raise KeyError(f"README.md has {count} blocks called {name}, not one")
    return text


def main() -> None:
    spec = importlib.util.spec_from_file_location("comod_pack", ROOT / "__init__.py",
                                                  submodule_search_locations=[str(ROOT)])
    sys.modules["comod_pack"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["comod_pack"])
    nodes = importlib.import_module("comod_pack.nodes").NODES
    models = importlib.import_module("comod_pack.comod_core.models.table").MODELS
    read_header = importlib.import_module("comod_pack.comod_core.checkpoints.store").read_header
    blocks = {"nodes": node_table(nodes), "models": model_table(models), "credits": credits(map(read_header, BUILT_IN)),
              "speed": read_speed()}
    text = filled(README.read_text(encoding="utf-8"), blocks)
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
