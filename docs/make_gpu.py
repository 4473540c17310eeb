"""Write the tables of docs/gpu.md from what the benchmarks wrote: `python docs/make_gpu.py`."""
from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "gpu.md"


def read(name: str) -> dict:
    return json.loads((ROOT / "benchmarks" / f"{name}.json").read_text(encoding="utf-8"))


def table(head: str, rows: dict[str, dict]) -> str:
    columns = list(dict.fromkeys(key for row in rows.values() for key in row))
    lines = [f"| {head} | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, row in rows.items():
        cells = ("" if row.get(key) is None else str(row[key]) for key in columns)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def measured() -> str:
    found = read("kernels")
    copied = found["ops"]["copy (GB/s)"]
    return "\n".join([f"{found['machine']}; a copy moves {copied} GB/s there, bytes read and written counted.", "",
                      table("network, samples, way", found["networks"]), "", table("op", found["ops"]["rows"])])


def cost() -> str:
    return table("network, precision, way", read("gpu_cost"))


def resources() -> str:
    found = read("kernel_resources")
    rows = {case: {name: f"{one['registers']}, {one['shared']}" for name, one in row.items()}
            for case, row in found["rows"].items()}
    return f"Triton {found['triton']}.\n\n" + table("kernel", rows)


def filled(text: str) -> str:
    """The page with its tables. Raises KeyError for a block that it lacks."""
    for name, block in (("measured", measured()), ("cost", cost()), ("resources", resources())):
        text, count = re.subn(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)",
                              lambda found, block=block: f"{found[1]}{block}\n{found[2]}", text, flags=re.S)
        if count != 1:
            raise KeyError(f"gpu.md has {count} blocks called {name}, not one")
    return text


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
