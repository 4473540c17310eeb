"""What the workflows of style maps show: an edit in its place, and nothing elsewhere."""
import json
from pathlib import Path

import graph
import pytest
import torch

FOLDER = Path(__file__).resolve().parent.parent / "workflows"
BOX = (2, 29, 10, 54)                       # rows and columns of the hair in style_blend
EYES = (26, 36, 20, 44)                     # of the eyes in style_transplant, which come three rows lower
NAMES = {"style_blend": ("avatar-hair", "avatar"), "style_transplant": ("avatar", "avatar-eyes")}


@pytest.mark.parametrize("name", NAMES)
def test_changes_the_picture_at_the_edit_alone(name, nodes):
    workflow = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    shown = list(graph.run_workflow(workflow, nodes).values())
    source, reference = (nodes["CoModExamplePicture"].execute(example) for example in NAMES[name])
    mask = torch.zeros(1, 64, 64)
    if name == "style_blend":
        mask[:, BOX[0]:BOX[1], BOX[2]:BOX[3]] = 1
    else:
        mask[:, EYES[0] + 3:EYES[1] + 3, EYES[2]:EYES[3]] = 1
    large = next(image for image in shown if image.shape[1:3] == (384, 384))
    edited = large[:, ::6, ::6]
    changed = (edited - source[0]).abs().amax(dim=-1) > 1e-6
    rows = mask[0].amax(dim=1).nonzero()[:, 0].tolist()
    assert changed[mask > 0].float().mean() > 0.9
    assert not changed[:, :max(rows[0] - 6, 0)].any() and not changed[:, rows[-1] + 7:].any()
    assert name != "style_blend" or (edited - reference[0])[mask > 0].abs().mean() < (
        source[0] - reference[0])[mask > 0].abs().mean()


def test_the_direction_makes_hair_longer(nodes):
    """Beside the neck, where the portrait has none, more than in the corner of the background."""
    workflow = json.loads((FOLDER / "style_direction.json").read_text("utf-8"))
    picture, = graph.run_workflow(workflow, nodes).values()
    changed = (picture[0, ::6, ::6] - nodes["CoModExamplePicture"].execute("avatar")[0][0]).abs().mean(dim=-1)
    assert changed[38:46, 17:23].mean() > 5 * changed[:8, :8].mean()
    assert changed[38:46, 17:23].mean() > 0.1
