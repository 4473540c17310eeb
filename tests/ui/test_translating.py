"""The app's translations: what the canvas sends becomes a drawing, and the nodes' pictures."""
import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image
from untrained import translator


@pytest.fixture(scope="module")
def work(pack):
    return pack("ui.translating")


@pytest.fixture(scope="module")
def edges(pack):
    return translator(pack, 1, condition="edges")


@pytest.fixture(scope="module")
def parts(pack):
    return pack("comod_core.labels").AVATAR_PARTS


@pytest.fixture(scope="module")
def maps(pack, parts):
    return translator(pack, 7, condition="labels", classes=tuple(map(str, parts)))


@pytest.fixture(autouse=True)
def folders(monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "files"))


def sent(pixels, kind="PNG"):
    """A value of the canvas with a picture uint8 [H,W,3]."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return {"drawing": f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"}


def line():
    pixels = np.full((512, 512, 3), 255, np.uint8)
    pixels[200:212, 100:400] = 0
    return pixels


def test_the_canvas_is_the_model_s(work, edges, maps, parts):
    for_lines, for_labels = work.canvas(edges), work.canvas(maps, "some")
    assert for_lines["kind"] == "edges" and [one["colour"] for one in for_lines["classes"]] == [work.INK, work.PAPER]
    assert for_labels["kind"] == "labels" and for_labels["drawing"] == "some"
    assert [f"{one['name']} {one['colour']}" for one in for_labels["classes"]] == [str(one) for one in parts]
    assert for_labels["pen"] > for_lines["pen"] >= 512 / 16


def test_networks_that_cannot_be_drawn_for(pack, work):
    error, networks = pack("comod_core.errors").CoModError, pack("comod_core.networks")
    with pytest.raises(error, match="nothing to paint with"):
        work.canvas(translator(pack, 7))
    plain = networks.CoModGenerator(networks.CoModConfig(16, fmap_base=64, fmap_max=16))
    with pytest.raises(error, match="translates no drawings"):
        work.canvas(pack("nodes.host").host.wrap(plain))


def test_pictures_are_the_nodes(pack, work, nodes, edges):
    path, layout, images = work.drawn(sent(line())), pack("nodes.layout"), pack("comod_core.images")
    inputs = {"seed": 5, "count": 3, "psi": 0.7, "noise_mode": "const", "dropout": True}
    states = list(work.translate(edges, path, inputs)[1])
    assert [len(one.paths) for one in states] == [1, 2, 3, 3] and states[-1].finished
    assert states[-1].seeds == (5, 6, 7) and states[-1].drawing == path
    condition = nodes["CoModEdgeCondition"].execute(edges, layout.images_out(images.open_picture(path).image))[0]
    wanted = layout.images_in(nodes["CoModTranslate"].execute(edges, condition, **inputs)[0])
    for found, image in zip(states[-1].paths, wanted, strict=True):
        assert (images.open_picture(found).image - image).abs().max() <= 1.01 / 255


def test_label_maps_arrive_as_painted(pack, work, maps, parts):
    labels = torch.randint(0, 7, (1, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    painted = pack("comod_core.labels").paint(labels, parts)
    pixels = ((painted[0] + 1) * 127.5).round().byte().movedim(0, -1).numpy().repeat(32, 0).repeat(32, 1)
    condition = work.condition_of(maps, work.drawn(sent(pixels)))
    assert torch.equal(condition.labels[:, ::32, ::32], labels)


def test_lines_of_a_picture_on_the_canvas(pack, work, edges, tmp_path):
    pixels = np.full((40, 40, 3), 230, np.uint8)
    pixels[10:30, 10:30] = 40
    Image.fromarray(pixels).save(tmp_path / "a.png")
    url = work.from_file(edges, tmp_path / "a.png", {"lines_from": "canny", "low": 50, "high": 120, "softness": 0.06})
    condition = work.condition_of(edges, work.drawn({"drawing": url}))
    wanted = pack("nodes.translation").EdgeCondition.execute(
        edges, pack("nodes.layout").images_out(pack("ui.sources").read(tmp_path / "a.png").image), "canny")[0]
    assert torch.equal(condition.fit(16, 1), wanted.fit(16, 1)) and (wanted.fit(16, 1) < 0).any()


@pytest.mark.parametrize("value, said", [
    ({"drawing": ""}, "Nothing is drawn"), ({}, "Nothing is drawn"),
    ({"drawing": "data:image/png;base64,AAAA"}, "damaged"), (sent(line(), "JPEG"), "damaged"),
    (sent(np.zeros((600, 20, 3), np.uint8)), "more than 512 a side")])
def test_other_things_than_a_drawing_are_refused(pack, work, value, said):
    with pytest.raises(pack("comod_core.errors").CoModError, match=said):
        work.drawn(value)


def test_models_are_told_apart_by_what_they_are_for(pack, work, monkeypatch, tmp_path, edges):
    monkeypatch.setenv("COMOD_MODELS", str(tmp_path))
    models, save = pack("ui.models"), pack("comod_core.checkpoints.store").save_networks
    save(tmp_path / "lines.safetensors", {"generator": edges.model}, {})
    for kind in ("pix2pix", "spade"):
        save(tmp_path / f"{kind}.safetensors", {"generator": translator(pack, 1, kind).model}, {"condition": "edges"})
    found = models.Models()
    for kind in ("pix2pix", "spade"):
        assert f"{kind}.safetensors" in found.names(models.TRANSLATION)
        inputs = {"seed": 5, "count": 2, "psi": 1.0, "noise_mode": "const", "dropout": True}
        *_, last = work.translate(found.get(f"{kind}.safetensors"), work.drawn(sent(line())), inputs)[1]
        assert last.finished and len(last.paths) == 2
    assert "lines.safetensors" in found.names(models.TRANSLATION) and "lines.safetensors" not in found.names("comodgan")
    assert "avatars-64" in found.names("comodgan") and "avatars-64" not in found.names(models.TRANSLATION)
    completing, translating = found.get("avatars-64"), found.get("lines.safetensors")
    assert found.get("avatars-64") is completing and found.get("lines.safetensors") is translating


def test_controls_are_the_schemas(pack, nodes):
    import gradio as gr

    with gr.Blocks():
        page = pack("ui.translate_layout").lay_out(pack("ui.models").Models())
    widgets = pack("ui.controls").widgets
    assert list(page.settings) == list(widgets(nodes["CoModTranslate"]))
    assert list(page.edges) == list(widgets(nodes["CoModEdgeCondition"]))
    assert page.settings["count"].value == 6
