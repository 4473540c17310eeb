"""The bare host: model files, devices, progress."""
import threading

import pytest
import torch


@pytest.fixture
def host(pack, monkeypatch, tmp_path):
    monkeypatch.setenv("COMOD_MODELS", str(tmp_path))
    monkeypatch.delenv("COMOD_DEVICE", raising=False)
    return pack("nodes.host").BareHost()


def test_model_files_are_listed_with_their_subfolder(host, tmp_path):
    for name in ("b.safetensors", "old/a.PKL", "README.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert host.model_files() == ["b.safetensors", "old/a.PKL"]
    assert host.model_path("old/a.PKL") == tmp_path / "old" / "a.PKL"


@pytest.mark.parametrize("name", ["README.md", "../secret.pkl", "/etc/passwd", "missing.pth"])
def test_a_name_that_is_not_listed_has_no_path(host, tmp_path, name):
    (tmp_path / "README.md").write_bytes(b"x")
    (tmp_path.parent / "secret.pkl").write_bytes(b"x")
    assert host.model_path(name) is None


def test_missing_folder_means_no_files(host, monkeypatch, tmp_path):
    monkeypatch.setenv("COMOD_MODELS", str(tmp_path / "absent"))
    assert host.model_files() == []


def test_device_can_be_chosen(host, monkeypatch):
    monkeypatch.setenv("COMOD_DEVICE", "meta")
    network = torch.nn.Linear(2, 2)
    assert host.acquire(host.wrap(network)).weight.device.type == "meta"


def test_progress_reaches_the_listener_only_within_its_block(host):
    steps = []
    with host.listening(lambda done, total, image: steps.append((done, total))):
        host.progress()(1, 2, None)
    host.progress()(2, 2, None)
    assert steps == [(1, 2)]


def test_listeners_of_two_threads_do_not_mix(host):
    seen = {"first": [], "second": []}
    barrier = threading.Barrier(2, timeout=10)

    def work(name):
        with host.listening(lambda done, total, image: seen[name].append(done)):
            barrier.wait()
            host.progress()(len(name), 9, None)

    threads = [threading.Thread(target=work, args=(name,)) for name in seen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {"first": [5], "second": [6]}


def test_a_listener_stops_the_work(pack, host):
    interrupted = pack("nodes.host").Interrupted

    def stop(done, total, image):
        raise interrupted

    with host.listening(stop), pytest.raises(interrupted):
        host.progress()(1, 2, None)


def test_preview_takes_grey_and_rgba(pack):
    to_pil = pack("nodes.host")._to_pil
    grey = to_pil(torch.full((1, 1, 2, 3), -1.0))
    rgba = to_pil(torch.tensor([1.0, 0.0, -1.0, 1.0]).reshape(1, 4, 1, 1))
    assert (grey.size, grey.getpixel((2, 1))) == ((3, 2), (0, 0, 0))
    assert rgba.getpixel((0, 0)) == (255, 128, 0)
