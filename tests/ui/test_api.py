"""The named endpoints: the same pixels as the library, whatever the picture; errors in words; stopping."""
import numpy as np
import pytest
import torch
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from comod_core import completion, images, load_model


@pytest.fixture(scope="module")
def client(app_url, tmp_path_factory):
    return Client(app_url, verbose=False, download_files=str(tmp_path_factory.mktemp("downloads")))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A picture of 64x64, its mask, an empty mask and a file that is no picture."""
    folder = tmp_path_factory.mktemp("pictures")
    values = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(values).save(folder / "picture.png")
    mask = np.zeros((64, 64), np.uint8)
    Image.fromarray(mask).save(folder / "empty.png")
    mask[20:50, 10:40] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    (folder / "text.png").write_text("no picture")
    return {path.stem: path for path in folder.iterdir()}


@pytest.fixture(scope="module")
def given(files):
    """What `complete` needs at least."""
    return {"image": handle_file(files["picture"]), "mask": handle_file(files["mask"])}


@pytest.fixture(scope="module")
def net(model_file):
    return load_model(model_file)


def pixels(path):
    with Image.open(path) as picture:
        return np.array(picture)


def as_saved(image, bits=8):
    return images.to_integers(image, bits)


def test_endpoints_and_their_parameters(client):
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(endpoints) == {"/complete", "/random_mask", "/extend", "/models", "/stop"}
    parameters = endpoints["/complete"]["parameters"]
    assert [p["parameter_name"] for p in parameters] == [
        "image", "mask", "model_name", "precision", "seed", "count", "psi", "cutoff", "noise_mode", "dropout",
        "size_strategy", "context", "feather", "grow", "color_match"]
    assert [p["parameter_name"] for p in parameters if not p["parameter_has_default"]] == ["image", "mask"]


def test_same_seed_gives_the_library_s_pixels(client, net, files, given):
    paths = client.predict(**given, seed="7", count=2, psi=0.7, api_name="/complete")
    picture, mask = images.open_picture(files["picture"]), images.open_mask(files["mask"])
    wanted = [as_saved(result.image) for result in completion.complete(net, picture.image, mask, [7, 8], psi=0.7)]
    assert len(paths) == 2
    for path, image in zip(paths, wanted, strict=True):
        assert np.array_equal(pixels(path), image)
    assert not np.array_equal(*wanted)


def test_deep_transparent_picture_of_another_size(client, net, tmp_path):
    deep = torch.rand(1, 4, 90, 130, generator=torch.Generator().manual_seed(0)) * 2 - 1
    images.save_picture(tmp_path / "deep.png", deep, bits=16)
    mask = torch.zeros(1, 1, 90, 130)
    mask[..., 30:60, 40:90] = 1
    images.save_picture(tmp_path / "mask.png", mask * 2 - 1)
    path, = client.predict(image=handle_file(tmp_path / "deep.png"), mask=handle_file(tmp_path / "mask.png"), seed="3",
                           feather=0, api_name="/complete")
    picture, result = images.open_picture(tmp_path / "deep.png"), images.open_picture(path)
    wanted = next(iter(completion.complete(net, picture.image, mask, [3], feather=0))).image
    assert result.bits == 16
    assert np.array_equal(as_saved(result.image, 16), as_saved(wanted, 16))
    known = mask.expand(1, 4, -1, -1) == 0
    assert torch.equal(result.image[known], picture.image[known])


def test_outpainting_through_two_endpoints(client, files, given):
    extended, mask = client.predict(image=given["image"], left=0, top=0, right=20, bottom=0, api_name="/extend")
    path, = client.predict(image=handle_file(extended), mask=handle_file(mask), feather=0, api_name="/complete")
    assert pixels(path).shape == (64, 84, 3)
    assert np.array_equal(pixels(path)[:, :64], pixels(files["picture"]))
    assert np.ptp(pixels(path)[:, 64:].astype(int)) > 0


def test_random_mask_is_the_node_s(client, nodes, given):
    path = client.predict(image=given["image"], seed="5", hole_min=0.2, hole_max=0.6, api_name="/random_mask")
    wanted = nodes["CoModMaskFreeForm"].execute(5, 1, 64, 64, 0.2, 0.6)[0]
    assert np.array_equal(pixels(path) / 255, wanted[0].numpy())


def test_models_begin_with_the_one_named_at_the_start(client, model_file):
    assert client.predict(api_name="/models")[0] == model_file.name


@pytest.mark.parametrize("change, said", [
    ({"mask": None}, "mask is missing"),
    ({"mask": "text"}, "text.png: not a picture"),
    ({"mask": "empty"}, "There is no hole to complete yet"),
    ({"image": None}, "image is missing"),
    ({"seed": "-1"}, "Seed is '-1': give a whole number"),
    ({"seed": "a lot"}, "Seed is 'a lot': give a whole number"),
])
def test_errors_say_what_to_do(client, files, given, change, said):
    change = {name: handle_file(files[value]) if value in files else value for name, value in change.items()}
    with pytest.raises(AppError, match=said):
        client.predict(**{**given, **change}, api_name="/complete")


def test_stopping_keeps_what_is_done(client, tmp_path):
    size = 1200                         # writing such a picture 64 times takes long enough to be stopped
    values = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    Image.fromarray(values).save(tmp_path / "large.png")
    mask = np.zeros((size, size), np.uint8)
    mask[300:800, 300:800] = 255
    Image.fromarray(mask).save(tmp_path / "hole.png")
    job = client.submit(handle_file(tmp_path / "large.png"), handle_file(tmp_path / "hole.png"), count=64,
                        api_name="/complete")
    first = next(iter(job))
    assert client.predict(api_name="/stop") is True
    kept = job.result(timeout=120)
    assert len(first) <= len(kept) < 64
    assert all(pixels(path).shape == (size, size, 3) for path in kept)
    assert client.predict(api_name="/stop") is False
