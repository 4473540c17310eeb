"""Style maps through the nodes: the pixels are the core's, what is not edited stays, wrong connections say so."""
from pathlib import Path

import pytest
import torch

GOLDEN = Path(__file__).resolve().parents[1] / "data" / "stylemap_32_8x8.pt"
SIZE = (44, 36)


@pytest.fixture(scope="module")
def network(pack):
    return pack("comod_core.loading").load_model(GOLDEN)


@pytest.fixture(scope="module")
def model(pack, network):
    return pack("nodes.host").host.wrap(network.cpu())


@pytest.fixture(scope="module")
def editing(pack):
    return pack("comod_core.editing")


@pytest.fixture(scope="module")
def layout(pack):
    return pack("nodes.layout")


def levels(seed, batch=1, size=SIZE):
    """IMAGE of 8-bit noise, [B,H,W,3]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (batch, *size, 3), generator=generator).float() / 255


@pytest.fixture(scope="module")
def picture():
    return levels(1)


@pytest.fixture(scope="module")
def reference():
    return levels(2)


@pytest.fixture(scope="module")
def mask():
    mask = torch.zeros(1, *SIZE)
    mask[:, 8:28, 10:30] = 1
    return mask


@pytest.fixture(scope="module")
def run(nodes, model):
    """run("Blend", ...) executes that style-map node with the model; returns its first output."""
    without_model = {"Direction", "Move"}

    def execute(name, *arguments, **keywords):
        model_first = () if name in without_model else (model,)
        return nodes[f"CoModStyleMap{name}"].execute(*model_first, *arguments, **keywords)[0]

    return execute


FRAMING = {"strategy": "square", "feather": 3.0, "color_match": True}


@pytest.fixture(scope="module")
def encoded(run, picture):
    return run("Encode", picture, **FRAMING)


@pytest.fixture(scope="module")
def other(run, reference):
    return run("Encode", reference, **FRAMING)


@pytest.fixture(scope="module")
def core(pack, editing, layout, network, picture, reference, mask):
    """core("blend", ...) is the IMAGE that the core's function makes of the same picture."""
    options = pack("comod_core.photos").Options("square", feather=3.0)
    image, taken, area = layout.images_in(picture), layout.images_in(reference), layout.masks_in(mask)

    def image_of(name, **keywords):
        arguments = {"blend": (image, taken, area), "mix": (image, taken), "reconstruct": (image,),
                     "transplant": (image, [editing.Reference(taken, area, keywords.pop("shift", (0, 0)), options)]),
                     "move": (image,)}[name]
        edit = getattr(editing, name)(network, *arguments, options=options, **keywords)
        return layout.images_out(edit.image, picture)

    return image_of


# The pixels are the core's.

@pytest.mark.parametrize(("mode", "strength"), [("w+", 1.0), ("w", 1.0), ("w+", 0.4), ("w", 0.0)])
def test_blend(run, core, encoded, other, mask, picture, mode, strength):
    image = run("Decode", run("Blend", encoded, other, mask, mode, strength))
    assert torch.equal(image, core("blend", space=mode, strength=strength))
    changed = (image != picture).any(-1)[0]
    assert changed[8:28, 10:30].float().mean() > 0.9 and not changed[:4].any() and not changed[:, :6].any()


@pytest.mark.parametrize("shift", [(0, 0), (5, -3)])
def test_transplant(run, core, encoded, other, mask, picture, shift):
    image = run("Decode", run("Transplant", encoded, other, mask, *shift, 0.7))
    assert torch.equal(image, core("transplant", shift=shift, strength=0.7))
    assert (image != picture).any() and torch.equal(image[:, 36:], picture[:, 36:])


@pytest.mark.parametrize(("part", "count"), [("fine", 2), ("coarse", 3)])
def test_mix_with_and_without_a_mask(run, core, layout, encoded, other, mask, part, count):
    mixed = run("Mix", encoded, other, part, count)
    assert torch.equal(run("Decode", mixed), core("mix", part=part, count=count))
    assert torch.equal(run("Decode", mixed, mask), core("mix", part=part, count=count, mask=layout.masks_in(mask)))


def test_reconstruction(run, core, encoded, layout, mask):
    assert torch.equal(run("Decode", encoded), core("reconstruct"))
    assert torch.equal(run("Decode", encoded, mask), core("reconstruct", mask=layout.masks_in(mask)))


def test_several_parts_in_a_row_are_one_transplant(pack, run, editing, layout, network, encoded, other, picture,
                                                   reference, mask):
    second = mask.roll(-6, 2)
    image = run("Decode", run("Transplant", run("Transplant", encoded, other, mask, 4, 0), other, second, 0, 9))
    options = pack("comod_core.photos").Options("square", feather=3.0)
    parts = [editing.Reference(layout.images_in(reference), layout.masks_in(area), shift, options)
             for area, shift in ((mask, (4, 0)), (second, (0, 9)))]
    edit = editing.transplant(network, layout.images_in(picture), parts, options=options)
    assert torch.equal(image, layout.images_out(edit.image, picture))


@pytest.mark.parametrize("masked", [False, True])
def test_direction_and_move(pack, nodes, run, core, layout, encoded, mask, masked):
    pytest.importorskip("sklearn")
    positives, negatives = run("Encode", levels(3, 3) ** 0.5), run("Encode", levels(4, 4) ** 2)
    direction, report = nodes["CoModStyleMapDirection"].execute(positives, negatives).result
    assert "examples: 3 and 4" in report and "left out" in report
    more = {"mask": layout.masks_in(mask)} if masked else {}
    image = run("Decode", run("Move", encoded, direction, -1.5, mask if masked else None))
    assert torch.equal(image, core("move", direction=direction, strength=-1.5, **more))


def test_the_crop_is_that_of_python(pack, run, editing, layout, network, picture, reference, mask):
    small = torch.zeros_like(mask)
    small[:, 10:14, 12:16] = 1
    framing = {"strategy": "crop", "context": 0.1, "color_match": False, "refine": 2, "mask": small}
    blended = run("Blend", run("Encode", picture, **framing), run("Encode", reference, **framing), small)
    options = pack("comod_core.photos").Options("crop", context=0.1, color_match=False, refine=2)
    edit = editing.blend(network, layout.images_in(picture), layout.images_in(reference), layout.masks_in(small),
                         options=options)
    assert torch.equal(run("Decode", blended), layout.images_out(edit.image, picture))


def test_random_pictures_are_those_of_python(run, editing, layout, network):
    image = run("Decode", run("Sample", 7, 3, 0.6))
    wanted = torch.cat(list(editing.generate(network, [7, 8, 9], psi=0.6)))
    assert image.shape == (3, 32, 32, 3)
    assert torch.equal(image, layout.images_out(wanted))
    assert torch.equal(run("Decode", run("Sample", 8, 1, 0.6)), image[1:2])


def test_interpolation_between_pictures(run, editing, layout, network, picture, reference):
    frames = run("Interpolate", run("Encode", picture), run("Encode", reference), 4)
    wanted = torch.cat(list(editing.interpolate(network, layout.images_in(picture), layout.images_in(reference), 4)))
    assert torch.equal(frames, layout.images_out(wanted, picture))


def test_an_edit_grows(run, encoded, other, mask, picture):
    blended = run("Blend", encoded, other, mask)
    frames = run("Interpolate", encoded, blended, 3)
    assert torch.equal(frames[2:], run("Decode", blended))
    still = (frames == picture).all(-1)
    assert still[:, :4].all() and still[:, :, :6].all() and not torch.equal(frames[0], frames[1])
    back = run("Interpolate", blended, encoded, 3)
    assert torch.equal(back[0], frames[2]) and (back[2] - frames[0]).abs().max() < 1e-5


# What is edited, and what is not.

def test_edits_add_up_and_the_rest_stays(run, encoded, other, mask, picture):
    second = torch.zeros_like(mask)
    second[:, 36:42, 4:10] = 1
    both = run("Decode", run("Blend", run("Blend", encoded, other, mask), other, second))
    changed = (both != picture).any(-1)[0]
    assert changed[8:28, 10:30].float().mean() > 0.9 and changed[36:38, 5:9].any()
    assert not changed[:4].any() and not changed[:, 34:].any()


def test_batches_are_their_pictures_one_by_one(run, other, mask):
    batch = levels(5, 3)
    together = run("Decode", run("Blend", run("Encode", batch, **FRAMING), other, mask))
    for i in range(3):
        alone = run("Decode", run("Blend", run("Encode", batch[i:i + 1], **FRAMING), other, mask))
        assert torch.equal(together[i:i + 1], alone)
    frames = run("Interpolate", run("Encode", batch, **FRAMING), other, 2)
    assert len(frames) == 6 and torch.equal(frames[1:2], run("Decode", run("Encode", batch[1:2], **FRAMING)))


def test_one_picture_with_many_references_and_masks(run, encoded, mask):
    references = run("Encode", levels(6, 2), **FRAMING)
    image = run("Decode", run("Blend", encoded, references, mask))
    assert image.shape == (2, *SIZE, 3) and not torch.equal(image[0], image[1])
    image = run("Decode", run("Blend", encoded, references, torch.cat([mask, mask.roll(4, 1)])))
    assert image.shape[0] == 2


def test_alpha_and_the_models_own_pictures(nodes, run, model, picture, mask, other):
    four = torch.cat([picture, mask[..., None] / 2], -1)
    blended = run("Blend", run("Encode", four, **FRAMING), other, mask)
    image, own = nodes["CoModStyleMapDecode"].execute(model, blended).result
    assert image.shape == (1, *SIZE, 4) and torch.equal(image[..., 3], four[..., 3])
    assert own.shape == (1, 32, 32, 3) and 0 <= own.min() and own.max() <= 1


def test_mask_of_another_size_or_without_batch_axis(run, encoded, other, mask):
    expected = run("Decode", run("Blend", encoded, other, mask))
    assert torch.equal(run("Decode", run("Blend", encoded, other, mask[0])), expected)
    small = run("Decode", run("Blend", encoded, other, mask[:, ::2, ::2]))
    assert small.shape == expected.shape


def test_inputs_are_left_as_they_were(run, encoded, other, mask, picture):
    before = encoded.style.clone(), other.style.clone(), picture.clone(), mask.clone()
    first = run("Decode", run("Blend", encoded, other, mask, "w"))
    run("Mix", encoded, other), run("Transplant", encoded, other, mask, 3, 3)
    assert all(torch.equal(a, b) for a, b in zip(before, (encoded.style, other.style, picture, mask), strict=True))
    assert encoded.edited is None and torch.equal(run("Decode", run("Blend", encoded, other, mask, "w")), first)


def test_runs_in_inference_mode_as_comfyui_does(run, core, picture, reference, mask):
    with torch.inference_mode():
        inside = run("Encode", picture.clone(), **FRAMING), run("Encode", reference.clone(), **FRAMING)
        image = run("Decode", run("Blend", *inside, mask.clone()))
        run("Encode", picture.clone(), refine=1)
    assert torch.equal(image, core("blend"))


# Progress and errors.

def test_progress_and_interruption(pack, run, encoded, other):
    module, steps = pack("nodes.host"), []
    with module.host.listening(lambda *step: steps.append(step)):
        run("Encode", levels(7, 2), refine=2)
        assert [step[:2] for step in steps] == [(i, 6) for i in range(1, 7)]
        steps.clear()
        run("Interpolate", encoded, other, 3)
        assert [step[:2] for step in steps] == [(1, 3), (2, 3), (3, 3)] and steps[0][2].shape == (1, 3, *SIZE)

    def stop(done, total, image):
        steps.append(done)
        if done == 2:
            raise module.Interrupted

    steps.clear()
    with module.host.listening(stop), pytest.raises(module.Interrupted):
        run("Interpolate", encoded, other, 100)
    assert steps == [1, 2]


@pytest.mark.parametrize("node", ["Blend", "Transplant", "Decode", "Encode"])
def test_an_empty_mask_says_how_to_paint_one(pack, run, encoded, other, picture, node):
    empty = torch.zeros(1, 64, 64)
    arguments = {"Decode": (encoded, empty), "Encode": (picture, "crop", 0.5, -1.0, True, 0, True, empty)}
    with pytest.raises(pack("comod_core.errors").CoModError, match="mask is empty.*MaskEditor"):
        run(node, *arguments.get(node, (encoded, other, empty)))


def test_a_completion_network_is_refused(pack, nodes, picture):
    model = nodes["CoModLoadModel"].execute("avatars-64")[0]
    with pytest.raises(pack("comod_core.errors").CoModError, match="editing needs a StyleMapGAN"):
        nodes["CoModStyleMapEncode"].execute(model, picture)


def test_a_stylemapgan_is_refused_by_the_completion_nodes(pack, nodes, model, picture, mask):
    error = pack("comod_core.errors").CoModError
    with pytest.raises(error, match="StyleMapGAN"):
        nodes["CoModComplete"].execute(model, picture, mask, 1)
    with pytest.raises(error, match="StyleMapGAN"):
        nodes["CoModSampleLatents"].execute(model, 1)


def test_wrong_connections_are_told(pack, run, encoded, other, mask):
    error = pack("comod_core.errors").CoModError
    blended = run("Blend", encoded, other, mask)
    with pytest.raises(error, match="mode w"):
        run("Move", blended, None)
    with pytest.raises(error, match="mode w"):
        run("Direction", blended, encoded)
    with pytest.raises(error, match="use space w\\+|mode w\\+"):
        run("Blend", blended, other, mask, "w")
    with pytest.raises(error, match="nothing of the part lands"):
        run("Transplant", encoded, other, mask, 500, 0)
    with pytest.raises(error, match="0 to 6"):
        run("Mix", encoded, other, "fine", 18)
    with pytest.raises(error, match="crop"):
        run("Encode", levels(1), strategy="crop")


def test_style_maps_of_another_model_are_refused(pack, nodes, run, encoded, mask, picture):
    net = pack("comod_core.networks").StyleMapGAN(pack("comod_core.networks").StyleMapConfig(
        resolution=16, style_size=4, style_channels=8, mapping_layers=1, channels=(8, 8, 8)))
    foreign = pack("nodes.host").host.wrap(net.eval().requires_grad_(False))
    style = nodes["CoModStyleMapEncode"].execute(foreign, picture)[0]
    for name, arguments in (("Blend", (encoded, style, mask)), ("Mix", (encoded, style)), ("Decode", (style,))):
        with pytest.raises(pack("comod_core.errors").CoModError, match=r"has shape.*expected \[N,12,8,8\]"):
            run(name, *arguments)
    with pytest.raises(pack("comod_core.errors").CoModError, match="one model"):
        run("Blend", encoded, style, mask, "w")


def test_the_loader_serves_a_stylemapgan(pack, nodes, monkeypatch, tmp_path, picture, encoded):
    monkeypatch.setenv("COMOD_MODELS", str(tmp_path))
    (tmp_path / "style.pt").write_bytes(GOLDEN.read_bytes())
    model, card = nodes["CoModLoadModel"].execute("style.pt").result
    assert "architecture: stylemapgan" in card
    assert torch.equal(nodes["CoModStyleMapEncode"].execute(model, picture, **FRAMING)[0].style, encoded.style)
