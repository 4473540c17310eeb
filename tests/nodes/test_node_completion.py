"""Completion through the nodes: the graph, the one-step node and the core give the same pixels."""
import pytest
import torch

SIZE = 64


@pytest.fixture(scope="module")
def network(pack):
    comodgan = pack("comod_core.networks.comodgan")
    torch.manual_seed(0)
    config = comodgan.CoModConfig(resolution=SIZE, fmap_base=512, fmap_max=32, z_dim=32, w_dim=32, mapping_fmaps=32)
    network = comodgan.CoModGenerator(config).eval().requires_grad_(False)
    network.w_avg.normal_()
    return network


@pytest.fixture(scope="module")
def model(pack, network):
    return pack("nodes.host").host.wrap(network.cpu())


@pytest.fixture(scope="module")
def picture():
    levels = torch.randint(0, 256, (1, 80, 100, 3), generator=torch.Generator().manual_seed(1))
    return levels.float() / 255


@pytest.fixture(scope="module")
def mask():
    mask = torch.zeros(1, 80, 100)
    mask[:, 20:50, 30:70] = 1
    return mask


OPTIONS = {"size_strategy": "crop", "context": 0.7, "feather": 3.0, "grow": 2, "color_match": True}


def through_the_graph(nodes, model, picture, mask, seed, count, psi=1.0, cutoff=-1, noise_mode="const", dropout=True,
                      options=OPTIONS):
    encoding = nodes["CoModEncode"].execute(model, picture, mask, **options)[0]
    latents = nodes["CoModSampleLatents"].execute(model, seed, count)[0]
    truncated = nodes["CoModTruncate"].execute(latents, psi, cutoff)[0]
    return nodes["CoModCoModulate"].execute(model, encoding, truncated, noise_mode, dropout)[0]


@pytest.mark.parametrize(("psi", "cutoff", "noise_mode", "dropout"), [
    (1.0, -1, "const", True), (0.5, -1, "random", True), (0.7, 3, "none", False), (0.0, 0, "random", False),
])
def test_graph_one_step_and_core_agree_bit_for_bit(pack, nodes, model, network, picture, mask, psi, cutoff, noise_mode,
                                                   dropout):
    sampling = dict(psi=psi, cutoff=cutoff, noise_mode=noise_mode, dropout=dropout)
    graph = through_the_graph(nodes, model, picture, mask, 7, 3, **sampling)
    step = nodes["CoModComplete"].execute(model, picture, mask, 7, 3, **sampling, **OPTIONS)[0]
    core = pack("comod_core.completion").complete(
        network, picture.movedim(-1, 1) * 2 - 1, mask[:, None], [7, 8, 9],
        **{**sampling, "cutoff": None if cutoff < 0 else cutoff}, **OPTIONS)
    expected = torch.cat([completion.image for completion in core])
    assert torch.equal(graph, step)
    assert torch.equal(step, pack("nodes.layout").images_out(expected, picture))
    assert (step - (expected.movedim(1, -1) + 1) / 2).abs().max() < 1e-6


def test_samples_differ_and_known_pixels_do_not(nodes, model, picture, mask):
    images = nodes["CoModComplete"].execute(model, picture, mask, 1, 3, **OPTIONS)[0]
    assert images.shape == (3, 80, 100, 3) and images.dtype == torch.float32
    changed = (images != picture).any(-1)
    near = torch.nn.functional.max_pool2d(mask, 2 * (3 + 2) + 1, 1, 3 + 2)[0] > 0
    assert not changed[:, ~near].any(), "a known pixel beyond grow and feather has changed"
    assert changed[:, mask[0] > 0].float().mean() > 0.9
    assert not torch.equal(images[0], images[1]) and not torch.equal(images[1], images[2])


def test_batch_of_seeds_equals_seeds_one_by_one(nodes, model, picture, mask):
    together = nodes["CoModComplete"].execute(model, picture, mask, 4, 3, noise_mode="random")[0]
    for index in range(3):
        alone = nodes["CoModComplete"].execute(model, picture, mask, 4 + index, 1, noise_mode="random")[0]
        assert torch.equal(together[index:index + 1], alone)


def test_batch_of_pictures_equals_pictures_one_by_one(nodes, model, picture, mask):
    batch = torch.cat([picture, picture.flip(2), 1 - picture])
    together = nodes["CoModComplete"].execute(model, batch, mask, 4, 2)[0]
    assert together.shape[0] == 6
    for index in range(3):
        alone = nodes["CoModComplete"].execute(model, batch[index:index + 1], mask, 4, 2)[0]
        assert torch.equal(together[index::3], alone), "all pictures of the first seed come first"


def test_one_picture_with_two_masks(nodes, model, picture, mask):
    moved = mask.roll(25, 1)
    images = nodes["CoModComplete"].execute(model, picture, torch.cat([mask, moved]), 4, 2)[0]
    assert images.shape[0] == 4
    assert torch.equal(images[1::2], nodes["CoModComplete"].execute(model, picture, moved, 4, 2)[0])
    assert not torch.equal(images[0], images[1])


def test_the_last_seed_wraps_around(nodes, model, picture, mask):
    images = nodes["CoModComplete"].execute(model, picture, mask, 2 ** 64 - 1, 2)[0]
    assert torch.equal(images[1:], nodes["CoModComplete"].execute(model, picture, mask, 0, 1)[0])


def test_mask_of_another_size_is_resized(nodes, model, picture, mask):
    small = mask[:, ::2, ::2]
    images = nodes["CoModComplete"].execute(model, picture, small, 3, 1, feather=0.0)[0]
    assert images.shape == picture.shape
    changed = (images != picture).any(-1)[0]
    assert changed[25:45, 35:65].float().mean() > 0.9 and not changed[60:].any()


def test_mask_without_batch_axis(nodes, model, picture, mask):
    flat = nodes["CoModComplete"].execute(model, picture, mask[0], 3, 1)[0]
    assert torch.equal(flat, nodes["CoModComplete"].execute(model, picture, mask, 3, 1)[0])


@pytest.mark.parametrize("empty", [torch.zeros(1, 64, 64), torch.zeros(80, 100), torch.full((1, 80, 100), 0.4)])
@pytest.mark.parametrize("node", ["CoModComplete", "CoModEncode"])
def test_empty_mask_says_how_to_paint_one(pack, nodes, model, picture, empty, node):
    arguments = (3, 1) if node == "CoModComplete" else ()
    with pytest.raises(pack("comod_core.errors").CoModError, match="mask is empty.*MaskEditor"):
        nodes[node].execute(model, picture, empty, *arguments)


def test_an_empty_mask_among_others_leaves_its_picture_alone(nodes, model, picture, mask):
    masks = torch.cat([mask, torch.zeros_like(mask)])
    batch = picture.expand(2, -1, -1, -1)
    images = nodes["CoModComplete"].execute(model, batch, masks, 3, 1)[0]
    assert torch.equal(images[1], picture[0]) and not torch.equal(images[0], picture[0])
    graph = through_the_graph(nodes, model, batch, masks, 3, 1, options={})
    assert torch.equal(graph, images)


def test_picture_with_alpha_keeps_its_four_channels(nodes, model, picture, mask):
    images = nodes["CoModComplete"].execute(model, torch.cat([picture, mask[..., None]], -1), mask, 3, 1)[0]
    assert images.shape[-1] == 4


def test_progress_counts_up_and_shows_pictures(pack, nodes, model, picture, mask):
    host = pack("nodes.host").host
    for node, start in (("CoModComplete", None), ("CoModCoModulate", "graph")):
        steps = []
        with host.listening(lambda *step, steps=steps: steps.append(step)):
            if start:
                through_the_graph(nodes, model, picture, mask, 3, 4)
            else:
                nodes[node].execute(model, picture, mask, 3, 4)
        assert sum(image is not None for _, _, image in steps) == 4, node
        assert steps[-1][0] == steps[-1][1] and steps[-1][2].shape == (1, 3, 80, 100)
        counts = [done for done, _, _ in steps]
        assert counts == sorted(counts) or start


@pytest.mark.parametrize("door", ["one step", "graph"])
def test_interruption_stops_the_work(pack, nodes, model, picture, mask, door):
    host, calls = pack("nodes.host"), []

    def stop_at_the_second_picture(done, total, image):
        calls.append(image)
        if sum(call is not None for call in calls) == 2:
            raise host.Interrupted

    with host.host.listening(stop_at_the_second_picture), pytest.raises(host.Interrupted):
        if door == "graph":
            through_the_graph(nodes, model, picture, mask, 3, 50)
        else:
            nodes["CoModComplete"].execute(model, picture, mask, 3, 50)
    assert len(calls) < 10


def test_inputs_are_left_as_they_were(nodes, model, picture, mask):
    before = picture.clone(), mask.clone()
    encoding = nodes["CoModEncode"].execute(model, picture, mask, **OPTIONS)[0]
    latents = nodes["CoModSampleLatents"].execute(model, 1, 2)[0]
    w = latents.w.clone()
    first = nodes["CoModCoModulate"].execute(model, encoding, latents)[0]
    nodes["CoModTruncate"].execute(latents, 0.3)
    nodes["CoModPsiSweep"].execute(latents, "0.1, 0.9")
    again = nodes["CoModCoModulate"].execute(model, encoding, latents)[0]
    assert torch.equal(picture, before[0]) and torch.equal(mask, before[1]) and torch.equal(latents.w, w)
    assert torch.equal(first, again)


def test_runs_in_inference_mode_as_comfyui_does(nodes, model, picture, mask):
    with torch.inference_mode():
        inside = through_the_graph(nodes, model, picture.clone(), mask.clone(), 5, 1)
    assert torch.equal(inside, through_the_graph(nodes, model, picture, mask, 5, 1))


def test_latents_of_another_model_are_refused(pack, nodes, model, picture, mask):
    comodgan = pack("comod_core.networks.comodgan")
    config = comodgan.CoModConfig(resolution=32, fmap_base=512, fmap_max=32, z_dim=32, w_dim=32, mapping_fmaps=32)
    other = pack("nodes.host").host.wrap(comodgan.CoModGenerator(config).eval())
    encoding = nodes["CoModEncode"].execute(model, picture, mask)[0]
    latents = nodes["CoModSampleLatents"].execute(other, 1, 1)[0]
    with pytest.raises(pack("comod_core.errors").CoModError):
        nodes["CoModCoModulate"].execute(model, encoding, latents)
