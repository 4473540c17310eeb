"""Workflows of style maps, as saved by ComfyUI. They name a model that does not exist yet and so are not shipped.

Here the network of the parity tests stands in for it. With the model they go, each with its picture, to workflows/.
"""
import json
from pathlib import Path

import graph
import pytest

DATA = Path(__file__).parent / "data"
WORKFLOWS = sorted((DATA / "workflows").glob("*.json"))
MODEL = "avatars-stylemap-64.safetensors"


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.stem)
def workflow(request):
    return json.loads(request.param.read_text("utf-8"))


@pytest.fixture
def stand_in(pack, monkeypatch, tmp_path):
    monkeypatch.setenv("COMOD_MODELS", str(tmp_path))
    pack("comod_core.checkpoints").convert(DATA / "stylemap_32_8x8.pt", tmp_path / MODEL)


def test_both_are_there():
    assert [path.stem for path in WORKFLOWS] == ["style_blend", "style_transplant"]


def test_runs_and_changes_the_picture_under_the_mask_alone(workflow, nodes, stand_in):
    shown = list(graph.run_workflow(workflow, nodes).values())
    source = nodes["CoModExamplePicture"].execute("avatar")[0]
    mask = nodes["CoModExamplePicture"].execute("avatar-eyes")[1]
    large = max(shown, key=lambda image: image.shape[1])
    edited = large[:, ::large.shape[1] // 64, ::large.shape[2] // 64]
    changed = (edited != source).any(-1)[0]
    if any(node["type"] == "CoModStyleMapTransplant" for node in workflow["nodes"]):
        mask = mask.roll(-12, 1)
    rows = mask[0].amax(dim=1).nonzero()[:, 0].tolist()
    assert changed[mask[0] > 0].float().mean() > 0.9
    assert not changed[:max(rows[0] - 6, 0)].any() and not changed[rows[-1] + 7:].any()


def test_without_its_model_it_says_where_to_put_it(workflow, nodes, monkeypatch, tmp_path):
    monkeypatch.setenv("COMOD_MODELS", str(tmp_path))
    with pytest.raises(ValueError, match=f"'{MODEL}' is not a built-in model.*Put the file there"):
        graph.run_workflow(workflow, nodes)
    assert MODEL in nodes["CoModLoadModel"].validate_inputs(MODEL)
