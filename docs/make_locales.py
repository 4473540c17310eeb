"""Write locales/en/nodeDefs.json from the nodes' schemas: `python docs/make_locales.py`.

The English locale holds the schemas' own texts, with readable labels, so that translators have a file to start from.
"""
from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NODE_DEFS = ROOT / "locales" / "en" / "nodeDefs.json"


def node_definitions(nodes) -> dict:
    """Node id -> names and tooltips in the form that ComfyUI's front end reads."""
    definitions = {}
    for node in nodes:
        schema = node.define_schema()
        definitions[schema.node_id] = {
            "display_name": schema.display_name,
            "description": schema.description,
            "inputs": {socket.id: {"name": socket.display_name or socket.id.replace("_", " "),
                                   "tooltip": socket.tooltip} for socket in schema.inputs},
            "outputs": {str(index): {"name": socket.display_name, "tooltip": socket.tooltip}
                        for index, socket in enumerate(schema.outputs)},
        }
    return definitions


def as_text(definitions: dict) -> str:
    """The file's text."""
    return json.dumps(definitions, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    spec = importlib.util.spec_from_file_location("comod_pack", ROOT / "__init__.py",
                                                  submodule_search_locations=[str(ROOT)])
    sys.modules["comod_pack"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["comod_pack"])
    nodes = importlib.import_module("comod_pack.nodes").NODES
    NODE_DEFS.write_text(as_text(node_definitions(nodes)), encoding="utf-8")


if __name__ == "__main__":
    main()
