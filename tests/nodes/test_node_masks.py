"""Masks and outpainting through the nodes."""
import pytest
import torch


def test_free_form_masks_follow_seed_size_and_range(pack, nodes):
    node = nodes["CoModMaskFreeForm"]
    masks = node.execute(5, 3, 96, 64, 0.3, 0.6)[0]
    assert masks.shape == (3, 64, 96) and masks.dtype == torch.float32
    assert all(0.3 < mask.mean() < 0.6 for mask in masks)
    assert torch.equal(node.execute(6, 1, 96, 64, 0.3, 0.6)[0], masks[1:2])
    assert not torch.equal(masks[0], masks[1])
    core = pack("comod_core.masks")
    alone = core.free_form((64, 96), 5, (0.3, 0.6), brush_width=core.scaled_brush((64, 96)))
    assert torch.equal(masks[:1], alone[:, 0])


@pytest.mark.parametrize(("name", "arguments"), [("CoModMaskFreeForm", (1, 1)), ("CoModMaskBox", ())])
def test_a_picture_gives_its_size(nodes, name, arguments):
    mask = nodes[name].execute(*arguments, image=torch.zeros(2, 40, 70, 3))[0]
    assert mask.shape == (1, 40, 70)


def test_box_is_where_its_fractions_say(nodes):
    mask = nodes["CoModMaskBox"].execute("box", 0.1, 0.25, 0.5, 1.0, 100, 40)[0]
    expected = torch.zeros(1, 40, 100)
    expected[:, 10:40, 10:50] = 1
    assert torch.equal(mask, expected)


@pytest.mark.parametrize(("region", "part"), [
    ("left half", (slice(None), slice(0, 5))), ("right half", (slice(None), slice(5, 10))),
    ("top half", (slice(0, 4), slice(None))), ("bottom half", (slice(4, 8), slice(None))),
])
def test_halves(nodes, region, part):
    mask = nodes["CoModMaskBox"].execute(region, width=10, height=8)[0]
    expected = torch.zeros(8, 10)
    expected[part] = 1
    assert torch.equal(mask[0], expected)


def test_every_region_of_the_schema_works(nodes):
    regions = nodes["CoModMaskBox"].define_schema().inputs[0].options
    assert len({nodes["CoModMaskBox"].execute(region)[0].sum(dim=(1, 2)).item() for region in regions}) == 2
    assert len({nodes["CoModMaskBox"].execute(region)[0].numpy().tobytes() for region in regions}) == len(regions)


def test_an_empty_box_is_refused(pack, nodes):
    with pytest.raises(pack("comod_core.errors").CoModError, match="covers no pixel"):
        nodes["CoModMaskBox"].execute("box", 0.6, 0.2, 0.4, 0.8)


def test_outpaint_extends_and_keeps_every_bit(nodes):
    picture = torch.randint(0, 256, (2, 6, 8, 3)).float() / 255
    image, mask = nodes["CoModOutpaint"].execute(picture, 1, 2, 3, 4).result
    assert image.shape == (2, 12, 12, 3) and mask.shape == (1, 12, 12)
    assert torch.equal(image[:, 2:8, 1:9], picture)
    assert mask[0, 2:8, 1:9].sum() == 0 and mask.sum() == 12 * 12 - 6 * 8
    assert (image[:, mask[0] > 0] == 0.5).all(), "the new area is grey"


def test_outpaint_keeps_a_hole_inside(nodes):
    hole = torch.zeros(1, 3, 4)
    hole[:, 1, 2] = 1
    mask = nodes["CoModOutpaint"].execute(torch.zeros(1, 6, 8, 3), 0, 0, 2, 0, hole)[1]
    assert torch.equal(mask[0, 2:4, 4:6], torch.ones(2, 2)) and mask[0, :, :8].sum() == 4


def test_outpaint_by_nothing_is_refused(pack, nodes):
    with pytest.raises(pack("comod_core.errors").CoModError, match="nothing to add"):
        nodes["CoModOutpaint"].execute(torch.zeros(1, 6, 8, 3), 0, 0, 0, 0)


@pytest.fixture
def dot():
    mask = torch.zeros(1, 21, 21)
    mask[:, 10, 10] = 1
    return mask


def test_edit_with_its_defaults_changes_nothing(nodes, dot):
    soft = dot * 0.3 + 0.1
    assert torch.equal(nodes["CoModMaskEdit"].execute(soft)[0], soft)


def test_edit_grows_and_shrinks(nodes, dot):
    grown = nodes["CoModMaskEdit"].execute(dot, grow=3)[0]
    assert grown[0, 10, 7] == 1 and grown[0, 10, 6] == 0 and grown[0, 7, 7] == 0, "a disc, not a square"
    assert torch.equal(nodes["CoModMaskEdit"].execute(grown, grow=-3)[0], dot)


def test_edit_inverts_before_it_grows(nodes, dot):
    edited = nodes["CoModMaskEdit"].execute(1 - dot, invert=True, grow=2)[0]
    assert torch.equal(edited, nodes["CoModMaskEdit"].execute(dot, grow=2)[0])


def test_edit_fills_an_outline(nodes):
    outline = torch.zeros(1, 9, 9)
    outline[:, 2:7, 2:7] = 1
    area = outline.clone()
    outline[:, 3:6, 3:6] = 0
    assert torch.equal(nodes["CoModMaskEdit"].execute(outline, fill=True)[0], area)


def test_edit_feathers_outwards(nodes, dot):
    soft = nodes["CoModMaskEdit"].execute(dot, feather=4)[0][0]
    row = soft[10, 10:16].tolist()
    assert row[0] == 1 and row[5] == 0 and row == sorted(row, reverse=True) and 0 < row[4] < row[1] < 1
