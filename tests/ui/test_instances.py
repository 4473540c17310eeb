"""The app's instances: the nodes' pictures and neighbours, pictures beside a file of instances, results as files."""
import numpy as np
import pytest
import torch
from PIL import Image


@pytest.fixture(scope="module")
def work(pack):
    return pack("ui.instances")


@pytest.fixture(scope="module")
def model(pack):
    networks = pack("comod_core.networks")
    torch.manual_seed(0)
    config = networks.StyleGAN2Config(16, (12, 10, 8), 8, 12, feature_size=1280, mapping_layers=2)
    net = networks.StyleGAN2Generator(config).eval().requires_grad_(False)
    return pack("nodes.host").host.wrap(net)


@pytest.fixture(scope="module")
def plain(pack):
    networks = pack("comod_core.networks")
    net = networks.StyleGAN2Generator(networks.StyleGAN2Config(16, (12, 10, 8), 8, 12, label_size=3)).eval()
    return pack("nodes.host").host.wrap(net.requires_grad_(False))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for i in range(3):
        pixels = np.random.default_rng(i).integers(0, 256, (20, 24, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


@pytest.fixture(autouse=True)
def folders(monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "files"))
    monkeypatch.setenv("COMOD_MODELS", str(tmp_path / "models"))


@pytest.fixture
def stored(pack, photos, tmp_path):
    """A file of the photos' instances; the folder beside it has the picture of the first."""
    folder = tmp_path / "models" / "instances"
    extractor = pack("comod_core.instances.extractors").load_extractor("lite0")
    pictures = [(path.stem, path) for path in sorted(photos.iterdir())]
    pack("comod_core.instances.indexing").index_pictures(folder / "three.safetensors", pictures, extractor)
    (folder / "three").mkdir()
    (folder / "three" / "0.png").write_bytes((photos / "0.png").read_bytes())
    return "three.safetensors"


def look(work, photos, i=0):
    return work.Look(str(i), photos / f"{i}.png")


def image_of(pack, path):
    return pack("comod_core.images").open_picture(path).image


def test_gallery_is_the_nodes(pack, work, model, nodes, photos):
    inputs = {"seed": 5, "psi": 0.7, "noise_mode": "const", "label": -1, "count": 3}
    _, results = work.gallery(model, look(work, photos), "lite0", inputs)
    states = list(results)
    assert [len(state.paths) for state in states] == [0, 1, 2, 3, 3] and states[-1].finished and not states[-1].film
    assert states[-1].captions == ("seed 5", "seed 6", "seed 7")
    layout = pack("nodes.layout")
    instance = nodes["CoModInstanceEncode"].execute(layout.images_out(image_of(pack, photos / "0.png")), "lite0")[0]
    wanted = nodes["CoModInstanceCondition"].execute(model, instance=instance, **inputs)[0]
    for path, image in zip(states[-1].paths, layout.images_in(wanted), strict=True):
        assert (image_of(pack, path) - image).abs().max() <= 1.01 / 255


def test_ranked_are_the_nodes_and_come_at_the_end(pack, work, model, nodes, photos):
    inputs = {"seed": 5, "psi": 1.0, "noise_mode": "const", "label": -1, "draws": 5, "keep": 2}
    _, results = work.ranked(model, look(work, photos), "lite0", inputs)
    states = list(results)
    assert [len(state.paths) for state in states] == [0] * 6 + [2] and states[-2].done == 5
    images, text = nodes["CoModInstanceRank"].execute(model, look(work, photos).encoded("lite0"), **inputs).result
    assert states[-1].captions == tuple(f"seed {line.split()[1]}, distance {line.split()[0]}"
                                        for line in text.splitlines())
    first = pack("nodes.layout").images_in(images[:1])
    assert (image_of(pack, states[-1].paths[0]) - first).abs().max() <= 1.01 / 255


def test_the_way_and_its_film(pack, work, model, photos):
    inputs = {"seed": 5, "end_seed": -1, "frames": 3, "psi": 1.0, "noise_mode": "const", "label": -1, "end_label": -1}
    _, results = work.way(model, (look(work, photos), look(work, photos, 1)), "lite0", inputs)
    *_, last = results
    assert last.film and last.captions == ("1 of 3", "2 of 3", "3 of 3")
    ends = [list(work.gallery(model, look(work, photos, i), "lite0", {
        "seed": 5, "psi": 1.0, "noise_mode": "const", "label": -1, "count": 1})[1])[-1].paths[0] for i in (0, 1)]
    for end, path in zip(ends, (last.paths[0], last.paths[-1]), strict=True):
        assert (image_of(pack, end) - image_of(pack, path)).abs().max() <= 1.01 / 255
    with Image.open(work.film(last)) as film:
        assert film.n_frames == 4 and film.size == (16, 16)


def test_stopping_keeps_what_is_done(work, model, photos):
    inputs = {"seed": 5, "psi": 1.0, "noise_mode": "const", "label": -1, "count": 64}
    job, results = work.gallery(model, look(work, photos), "lite0", inputs)
    for state in results:
        if len(state.paths) == 1:
            job.stop()
    assert state.finished and 1 <= len(state.paths) < 64


def test_networks_without_instances_and_instances_that_are_missing(pack, work, model, plain, photos):
    inputs = {"seed": 5, "psi": 1.0, "noise_mode": "const", "label": 2, "count": 1}
    *_, last = work.gallery(plain, look(work, photos), "lite0", inputs)[1]
    assert len(last.paths) == 1
    error = pack("comod_core.errors").CoModError
    with pytest.raises(error, match="takes no instance"):
        work.ranked(plain, look(work, photos), "lite0", inputs)
    with pytest.raises(error, match="There is no instance yet"):
        work.gallery(model, None, "lite0", inputs)
    with pytest.raises(error, match="swav ResNet-50 are not on this machine|trained with"):
        list(work.gallery(model, look(work, photos), "swav", inputs)[1])


def test_neighbours_with_and_without_pictures(work, photos, stored):
    found = work.neighbours(stored, look(work, photos, 2), "lite0", 2)
    assert found[0].name == "2" and found[0].number == 2 and found[0].likeness == pytest.approx(1, abs=1e-3)
    assert found[0].picture is None and found[0].caption == "1.00 2" and found[0].tile().size == (work.TILE, work.TILE)
    zero, = work.neighbours(stored, look(work, photos, 0), "lite0", 1)
    assert zero.picture.name == "0.png" and zero.encoded("swav") is zero.feature
    assert work.picture_of(stored, "../../../photos/0") is None


def test_some_stored_instances(work, stored):
    every = work.some(stored, 9, seed=1)
    assert [one.name for one in every] == ["0", "1", "2"] and every[0].caption == "0"
    assert len(work.some(stored, 1, seed=1)) == 1


def test_without_files_it_says_how_to_make_one(pack, monkeypatch, tmp_path):
    import gradio as gr

    actions, models = pack("ui.instance_actions"), pack("ui.models").Models()
    monkeypatch.setattr(actions, "instance_files", dict)
    with gr.Blocks():
        page = pack("ui.instance_layout").lay_out(models)
    values = {"look": None, "instances": "none", "extractor": "lite0", "neighbours": 5}
    updates = actions.InstanceActions(page, models).find(values, None)
    assert updates[page.found] == [] and "comod instance index" in updates[page.note].value
    assert str(tmp_path / "models" / "instances") in updates[page.note].value


def test_controls_are_the_schemas(pack, nodes):
    import gradio as gr

    with gr.Blocks():
        page = pack("ui.instance_layout").lay_out(pack("ui.models").Models())
    widgets = pack("ui.controls").widgets
    for node, controls in (("CoModInstanceCondition", page.settings), ("CoModInstanceRank", page.rank),
                           ("CoModInstanceInterpolate", page.interpolate), ("CoModLoadModel", page.loader)):
        schema = widgets(nodes[node])
        for name, component in controls.items():
            if name in schema and name != "label":
                assert component.info == schema[name].tooltip, name
                for limit, end in (("minimum", "min"), ("maximum", "max")):
                    if hasattr(component, limit) and name != "seed":
                        assert getattr(component, limit) == getattr(schema[name], end), name
    assert set(widgets(nodes["CoModInstanceCondition"])) <= set(page.settings)
