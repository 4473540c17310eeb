"""The shipped workflows: each is run here without ComfyUI, and has its picture."""
import json
from pathlib import Path

import graph
import pytest
from PIL import Image

FOLDER = Path(__file__).resolve().parent.parent / "workflows"
EXAMPLES = FOLDER.parent / "example_pictures"
WORKFLOWS = sorted(FOLDER.glob("*.json"))
EXPECTED = {"completion", "variations_grid", "outpainting", "seeds_psi_sweep", "style_blend", "style_transplant",
            "style_mix", "style_direction", "style_sample", "instance_gallery", "instance_interpolate",
            "instance_neighbours"}


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.stem)
def workflow(request):
    return json.loads(request.param.read_text("utf-8"))


def test_all_are_there():
    assert {path.stem for path in WORKFLOWS} >= EXPECTED


def test_no_other_folder_hides_them():
    """ComfyUI serves templates from the first of these folders that exists, and from that one alone."""
    served = ["example_workflows", "example", "examples", "workflow", "workflows"]
    assert [name for name in served if (FOLDER.parent / name).exists()] == ["workflows"]


def test_has_a_picture(workflow, request):
    path = FOLDER / f"{request.node.callspec.id}.jpg"
    with Image.open(path) as picture:
        assert picture.format == "JPEG" and min(picture.size) >= 200
    assert path.stat().st_size < 300_000


def test_uses_only_nodes_that_everybody_has(workflow, nodes):
    for node in workflow["nodes"]:
        assert node["type"] in {*nodes, *graph.CORE_NODES, *graph.NOTES}, node["type"]


def test_saves_the_seed_fixed(workflow, nodes):
    for node in workflow["nodes"]:
        if node["type"] in nodes:
            values = graph.widget_values(nodes[node["type"]].GET_SCHEMA(), node.get("widgets_values"))
            if "seed" in values:
                assert "fixed" in node.get("widgets_values"), node["type"]


def test_combos_hold_values_that_exist(workflow, nodes):
    for node in workflow["nodes"]:
        if node["type"] in nodes:
            schema = nodes[node["type"]].GET_SCHEMA()
            for name, value in graph.widget_values(schema, node.get("widgets_values")).items():
                socket = next(socket for socket in schema.inputs if socket.id == name)
                if hasattr(socket, "options"):
                    assert value in socket.options, f"{node['type']}.{name}"
                elif getattr(socket, "min", None) is not None:
                    assert socket.min <= value <= socket.max, f"{node['type']}.{name}"


def test_runs_and_shows_a_picture(workflow, nodes):
    shown = graph.run_workflow(workflow, nodes)
    assert shown
    for pictures in shown.values():
        assert pictures.ndim == 4 and pictures.shape[-1] == 3
        assert 0 <= pictures.min() and pictures.max() <= 1 and pictures.std() > 0.05


def test_runs_the_same_twice(workflow, nodes):
    first, second = graph.run_workflow(workflow, nodes), graph.run_workflow(workflow, nodes)
    assert all(first[number].equal(second[number]) for number in first)


@pytest.fixture
def with_own_picture(monkeypatch):
    """The completion workflow as its note says: Load Image in the place of the example."""
    workflow = json.loads((FOLDER / "completion.json").read_text("utf-8"))
    example, = (node for node in workflow["nodes"] if node["type"] == "CoModExamplePicture")

    def swap(path: Path) -> dict:
        monkeypatch.setattr(graph.LoadImage, "input_folder", path.parent)
        example.update(type="LoadImage", widgets_values=[path.name, "image"])
        return workflow

    return swap


def test_load_image_takes_the_place_of_the_example(with_own_picture, nodes, tmp_path):
    before = graph.run_workflow(json.loads((FOLDER / "completion.json").read_text("utf-8")), nodes)
    picture, mask = (Image.open(EXAMPLES / f"avatar{end}.png") for end in ("", "-mask"))
    picture.putalpha(mask.convert("L").point(lambda value: 255 - value))
    picture.save(tmp_path / "painted.png")
    after = graph.run_workflow(with_own_picture(tmp_path / "painted.png"), nodes)
    assert all(after[number].equal(before[number]) for number in before)


def test_a_picture_without_a_painted_hole_says_what_to_do(with_own_picture, nodes):
    with pytest.raises(ValueError, match="Open in MaskEditor"):
        graph.run_workflow(with_own_picture(EXAMPLES / "avatar.png"), nodes)


def test_every_node_is_in_a_workflow_or_makes_masks(nodes):
    """Text guidance needs a CLIP, which does not come along."""
    used = {node["type"] for path in WORKFLOWS for node in json.loads(path.read_text("utf-8"))["nodes"]}
    assert set(nodes) - used <= {"CoModMaskFreeForm", "CoModMaskEdit", "CoModInstanceText"}
