"""What ComfyUI and the Gradio app read from the nodes: ids, texts, ranges, help pages and locales."""
import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXPECTED = {
    "CoModLoadModel", "CoModComplete", "CoModEncode", "CoModSampleLatents", "CoModTruncate", "CoModPsiSweep",
    "CoModCoModulate", "CoModMaskFreeForm", "CoModMaskBox", "CoModOutpaint", "CoModMaskEdit", "CoModExamplePicture",
    "CoModImageGrid", "CoModStyleMapEncode", "CoModStyleMapSample", "CoModStyleMapBlend", "CoModStyleMapTransplant",
    "CoModStyleMapMix", "CoModStyleMapDirection", "CoModStyleMapMove", "CoModStyleMapDecode",
    "CoModStyleMapInterpolate", "CoModInstanceEncode", "CoModInstanceCondition", "CoModInstanceRank",
    "CoModInstanceInterpolate", "CoModInstanceNeighbours", "CoModInstanceStored", "CoModInstanceText",
    "CoModEdgeCondition", "CoModLabelCondition", "CoModTranslate",
}


@pytest.fixture(scope="module")
def schemas(nodes):
    return {name: node.GET_SCHEMA() for name, node in nodes.items()}


def test_extension_lists_every_node(pack):
    extension = asyncio.run(pack("nodes").comfy_entrypoint())
    listed = asyncio.run(extension.get_node_list())
    assert {node.define_schema().node_id for node in listed} == EXPECTED


def test_every_text_is_there(schemas):
    for name, schema in schemas.items():
        assert schema.display_name.startswith("CoMod "), name
        assert schema.category.split("/")[0] == "CoMod", name
        assert len(schema.description) > 30, name
        for socket in (*schema.inputs, *schema.outputs):
            assert socket.tooltip and socket.tooltip.endswith("."), f"{name}.{socket.id} needs a tooltip, a sentence"
        assert all(output.display_name for output in schema.outputs), name


def test_defaults_lie_within_the_ranges(schemas):
    for name, schema in schemas.items():
        for socket in schema.inputs:
            if getattr(socket, "min", None) is not None:
                assert socket.min <= socket.default <= socket.max, f"{name}.{socket.id}"
            if hasattr(socket, "options"):
                assert socket.default in socket.options, f"{name}.{socket.id}"


def test_optional_sockets_come_last(schemas):
    """Saved workflows go by position, so what is added later must be optional and last."""
    for name, schema in schemas.items():
        flags = [socket.optional for socket in schema.inputs]
        assert flags == sorted(flags), name


def test_execute_takes_what_the_schema_offers(nodes, schemas):
    for name, node in nodes.items():
        code = node.execute.__func__.__code__
        arguments = code.co_varnames[1:code.co_argcount]
        assert list(arguments) == [socket.id for socket in schemas[name].inputs], name


def test_repeated_ids_are_refused(pack):
    io = pack("nodes._api").io
    schema = io.Schema("Twice", inputs=[io.Image.Input("image")], outputs=[io.Image.Output("image")])
    with pytest.raises(ValueError, match="image"):
        schema.validate()


def test_every_node_has_a_help_page(schemas):
    for name, schema in schemas.items():
        page = (ROOT / "web" / "docs" / f"{name}.md").read_text("utf-8")
        assert page.startswith(f"# {schema.display_name}\n"), name
        for socket in schema.inputs:
            assert f"**{socket.id.replace('_', ' ')}**" in page, f"{name}.md says nothing about {socket.id}"
        for output in schema.outputs:
            assert f"**{output.display_name}**" in page, f"{name}.md says nothing about output {output.display_name}"
    pages = {path.stem for path in (ROOT / "web" / "docs").glob("*.md")}
    assert pages == set(schemas)


def test_locale_is_in_step_with_the_schemas(tmp_path):
    """The script that writes the locale writes what is in the repository."""
    code = ("import importlib.util, pathlib, sys; "
            "s = importlib.util.spec_from_file_location('make_locales', 'docs/make_locales.py'); "
            "m = importlib.util.module_from_spec(s); s.loader.exec_module(m); "
            f"m.NODE_DEFS = pathlib.Path({str(tmp_path / 'nodeDefs.json')!r}); m.main()")
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=120)
    written = (tmp_path / "nodeDefs.json").read_text("utf-8")
    assert written == (ROOT / "locales" / "en" / "nodeDefs.json").read_text("utf-8")
    assert set(json.loads(written)) == EXPECTED


def test_nodes_import_the_core_relatively():
    """ComfyUI loads the pack under a name of its own, so an absolute import would fail or find another pack's code."""
    for path in (ROOT / "nodes").glob("*.py"):
        assert not re.search(r"^\s*(from|import) comod_core", path.read_text("utf-8"), re.M), path.name
