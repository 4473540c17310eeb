"""Drawings and label maps through the nodes: the pictures are the core's, wrong connections say so."""
import numpy as np
import pytest
import torch
from untrained import translator


@pytest.fixture(scope="module")
def core(pack):
    return pack("comod_core.translation")


@pytest.fixture(scope="module")
def parts(pack):
    return pack("comod_core.labels").AVATAR_PARTS


@pytest.fixture(scope="module")
def edges(pack):
    return translator(pack, 1, condition="edges")


@pytest.fixture(scope="module")
def maps(pack, parts):
    return translator(pack, 7, condition="labels", classes=tuple(map(str, parts)))


@pytest.fixture
def drawing():
    picture = torch.ones(2, 40, 40, 3)
    picture[0, 10:12, 5:30] = 0
    picture[1, 20:22, 5:30] = 0
    return picture


@pytest.fixture
def label_picture(pack, parts):
    labels = torch.randint(0, 7, (1, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return labels, pack("nodes.layout").images_out(pack("comod_core.labels").paint(labels, parts))


def test_a_batch_of_drawings(pack, nodes, core, edges, drawing):
    condition, seen = nodes["CoModEdgeCondition"].execute(edges, drawing)
    assert seen.shape == (2, 16, 16, 3) and seen.min() == 0 and seen.max() == 1
    images = nodes["CoModTranslate"].execute(edges, condition, seed=5, count=3, psi=0.6)[0]
    layout = pack("nodes.layout")
    wanted = pack("comod_core.conditions").from_drawing(layout.images_in(drawing))
    made = list(core.translate(edges.model, wanted, [5, 6, 7], psi=0.6))
    assert images.shape == (6, 16, 16, 3)
    assert torch.allclose(images, torch.cat([layout.images_out(one.image) for one in made]), atol=0.5 / 255 + 1e-6)


@pytest.mark.parametrize("kind", ["pix2pix", "spade"])
def test_the_other_kinds_of_networks_translate_too(pack, nodes, core, drawing, kind):
    model = translator(pack, 1, kind, condition="edges")
    condition = nodes["CoModEdgeCondition"].execute(model, drawing[:1])[0]
    images = nodes["CoModTranslate"].execute(model, condition, seed=5, count=2)[0]
    wanted = torch.cat([pack("nodes.layout").images_out(one.image) for one in
                        core.translate(model.model, condition, [5, 6])])
    assert torch.allclose(images, wanted, atol=0.5 / 255 + 1e-6) and not torch.equal(images[0], images[1])


def test_a_saved_picture_is_that_of_the_command_line(pack, nodes, core, edges, drawing):
    """ComfyUI's SaveImage cuts 255 * x off, the command line rounds: the files hold the same."""
    condition = nodes["CoModEdgeCondition"].execute(edges, drawing[:1])[0]
    images = nodes["CoModTranslate"].execute(edges, condition, seed=5, count=3)[0].numpy()
    made = core.translate(edges.model, condition, [5, 6, 7])
    wanted = np.stack([pack("comod_core.images").to_integers(one.image) for one in made])
    assert np.array_equal(np.clip(255. * images, 0, 255).astype(np.uint8), wanted)
    assert np.array_equal((images * 255).round().astype(np.uint8), wanted)


def test_every_step_of_eight_bits_survives(pack):
    steps = torch.arange(256).float()
    values = pack("nodes.layout").rounded(steps / 255)
    assert (255. * values.numpy()).astype(np.uint8).tolist() == list(range(256)) and values.max() <= 1


@pytest.mark.parametrize("way", ["canny", "soft"])
def test_photos(nodes, edges, drawing, way):
    lines, seen = nodes["CoModEdgeCondition"].execute(edges, drawing, way, low=10, high=30, softness=0.05)
    assert lines.lines.max() > 0.5 and lines.lines.shape[-2:] == (16, 16) and seen.min() < 0.5


def test_an_edge_network_in_the_model_folder(nodes, edges, drawing, monkeypatch, tmp_path):
    class Dark(torch.nn.Module):
        def forward(self, x):
            return 1 - x[:, :1]

    monkeypatch.setenv("COMOD_MODELS", str(tmp_path))
    (tmp_path / "detectors").mkdir()
    torch.jit.script(Dark()).save(tmp_path / "detectors" / "dark.pt")
    schema = nodes["CoModEdgeCondition"].define_schema()
    options = next(one.options for one in schema.inputs if one.id == "lines_from")
    assert options == ["drawing", "canny", "soft", "detectors/dark.pt"]
    lines = nodes["CoModEdgeCondition"].execute(edges, drawing, "detectors/dark.pt")[0].lines
    assert lines[0, 0, 4].max() > 0.5 and lines[0, 0, 12].max() == 0
    with pytest.raises(ValueError, match="no edge network 'detectors/none.pt'"):
        nodes["CoModEdgeCondition"].execute(edges, drawing, "detectors/none.pt")


def test_label_pictures(nodes, maps, parts, label_picture):
    labels, picture = label_picture
    condition, seen, text = nodes["CoModLabelCondition"].execute(maps, picture)
    assert torch.equal(condition.labels, labels) and text.splitlines() == list(map(str, parts))
    assert torch.allclose(seen, picture)
    numbers = (labels.float() / 255)[..., None].expand(-1, -1, -1, 3)
    again = nodes["CoModLabelCondition"].execute(maps, numbers, "numbers")[0]
    assert torch.equal(again.labels, labels)
    pictures = nodes["CoModTranslate"].execute(maps, condition, seed=0, count=2)[0]
    assert pictures.shape == (2, 16, 16, 3) and not torch.equal(pictures[0], pictures[1])


def test_wrong_palettes_and_tables(pack, nodes, maps, label_picture):
    with pytest.raises(ValueError, match="#ff00ff .256 pixels.* belongs to no class"):
        nodes["CoModLabelCondition"].execute(maps, torch.tensor([1.0, 0, 1]).expand(1, 16, 16, 3))
    with pytest.raises(ValueError, match="classes, line 2: 'hair' is no class"):
        nodes["CoModLabelCondition"].execute(maps, label_picture[1], classes="skin #f3be96\nhair")
    with pytest.raises(ValueError, match="label maps of 7 classes, and the label map has 1"):
        nodes["CoModLabelCondition"].execute(maps, torch.zeros(1, 16, 16, 3), classes="all #000000")
    with pytest.raises(ValueError, match="does not say which classes"):
        nodes["CoModLabelCondition"].execute(translator(pack, 7), label_picture[1])


def test_wrong_connections(pack, nodes, edges, maps, drawing, label_picture):
    with pytest.raises(ValueError, match="label maps most likely"):
        nodes["CoModEdgeCondition"].execute(maps, drawing)
    condition = nodes["CoModEdgeCondition"].execute(edges, drawing)[0]
    with pytest.raises(ValueError, match="label maps most likely"):
        nodes["CoModTranslate"].execute(maps, condition, seed=0)
    networks = pack("comod_core.networks")
    plain = networks.CoModGenerator(networks.CoModConfig(16, fmap_base=64, fmap_max=16))
    with pytest.raises(ValueError, match="translates no drawings"):
        nodes["CoModEdgeCondition"].execute(pack("nodes.host").host.wrap(plain), drawing)
