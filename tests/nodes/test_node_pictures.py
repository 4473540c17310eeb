"""The grid of a batch, and the shipped examples."""
import pytest
import torch


def batch(count):
    return torch.arange(count, dtype=torch.float32).reshape(-1, 1, 1, 1).expand(-1, 2, 3, 3) / 10


def test_grid_goes_row_by_row(nodes):
    grid = nodes["CoModImageGrid"].execute(batch(5), columns=2, gap=1)[0]
    assert grid.shape == (1, 3 * 2 + 2, 2 * 3 + 1, 3)
    corners = grid[0, ::3, ::4, 0]
    assert torch.allclose(corners, torch.tensor([[0.0, 0.1], [0.2, 0.3], [0.4, 1.0]]))
    assert (grid[0, 2] == 1).all() and (grid[0, :, 3] == 1).all(), "the gap is white"


def test_grid_scales_pixel_by_pixel(nodes):
    picture = torch.rand(1, 2, 3, 3)
    grid = nodes["CoModImageGrid"].execute(picture, columns=4, scale=3, gap=0)[0]
    assert grid.shape == (1, 6, 9, 3), "columns beyond the batch take no room"
    assert torch.equal(grid[0, 1::3, 1::3], picture[0])


def test_every_example_has_a_picture_and_a_hole(pack, nodes):
    names = pack("nodes.pictures").example_names()
    assert names
    for name in names:
        picture, mask = nodes["CoModExamplePicture"].execute(name).result
        assert picture.shape[:3] == mask.shape and picture.shape[3] == 3
        assert 0 <= picture.min() and picture.max() <= 1
        assert 0.05 < (mask > 0.5).float().mean() < 0.9, f"{name} has no hole, or is nothing but hole"


def test_drawings_and_label_maps_have_no_hole(pack, nodes):
    names = pack("nodes.pictures").condition_names()
    assert {"drawings/short-hair", "label_maps/curly"} <= set(names)
    for name in names:
        picture, mask = nodes["CoModExamplePicture"].execute(name).result
        assert picture.shape == (1, 512, 512, 3) and mask.shape == (1, 512, 512) and not mask.any()
        if name.startswith("label_maps"):
            labels = pack("comod_core.labels")
            found = labels.from_palette(pack("nodes.layout").images_in(picture), labels.AVATAR_PARTS)
            assert {0, 1, 2, 3, 4, 5} <= set(found.unique().tolist())


@pytest.mark.parametrize("name", ["absent", "../README", "avatar-mask"])
def test_an_unknown_example_is_refused(pack, nodes, name):
    with pytest.raises(pack("comod_core.errors").CoModError, match="avatar"):
        nodes["CoModExamplePicture"].execute(name)
