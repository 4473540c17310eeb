"""ComfyUI's layouts to the core's and back."""
import pytest
import torch


@pytest.fixture(scope="module")
def layout(pack):
    return pack("nodes.layout")


def every_level(batch=1):
    """IMAGE [B,16,16,3] with all 256 levels of 8 bits, as Load Image makes them."""
    levels = torch.arange(256, dtype=torch.float32) / 255
    return levels.reshape(1, 16, 16, 1).expand(batch, -1, -1, 3).contiguous()


def test_images_in_has_the_cores_layout_and_range(layout):
    picture = torch.zeros(2, 5, 7, 3)
    picture[1, 4, 6, 2] = 1
    core = layout.images_in(picture)
    assert core.shape == (2, 3, 5, 7)
    assert core[1, 2, 4, 6] == 1 and core.min() == -1 and (core == 1).sum() == 1


def test_untouched_values_come_back_bit_for_bit(layout):
    picture = every_level(2)
    core = layout.images_in(picture)
    assert not torch.equal(layout.images_out(core), picture), "the plain way rounds; else this test shows nothing"
    assert torch.equal(layout.images_out(core, picture), picture)


def test_touched_values_are_the_cores(layout):
    picture = every_level()
    core = layout.images_in(picture).repeat(3, 1, 1, 1)
    core[2, :, 3, 4] = 0.5
    out = layout.images_out(core, picture)
    assert out.shape == (3, 16, 16, 3)
    assert torch.equal(out[2, 3, 4], torch.full((3,), 0.75))
    assert torch.equal(out[:2], picture.expand(2, -1, -1, -1))


def test_images_out_repeats_the_batch_for_every_seed(layout):
    batch = torch.rand(2, 4, 4, 3)
    core = layout.images_in(batch).repeat(3, 1, 1, 1)
    assert torch.equal(layout.images_out(core, batch), torch.cat([batch] * 3))


def test_images_out_clamps(layout):
    out = layout.images_out(torch.tensor([-1.5, 0.0, 1.5]).reshape(1, 1, 1, 3))
    assert out.flatten().tolist() == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("shape", [(6, 8), (1, 6, 8), (3, 6, 8)])
def test_masks_keep_their_polarity(layout, shape):
    mask = torch.zeros(shape)
    mask[..., 0, 7] = 1
    core = layout.masks_in(mask)
    assert core.shape == (shape[0] if len(shape) == 3 else 1, 1, 6, 8)
    assert (core[:, 0, 0, 7] == 1).all() and core.sum() == len(core)
    assert torch.equal(layout.masks_out(core), mask.reshape(-1, 6, 8))
