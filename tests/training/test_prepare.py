"""Pictures to a set for training: folders, shards and datasets; what is bad is skipped and listed."""
import csv
import http.server
import io
import json
import tarfile
import threading

import numpy as np
import pytest
from PIL import Image

from comod_core import CoModError
from comod_core.training.prepare import PrepareConfig, difference_hash, load_prepared, prepare


def noise(seed, height=40, width=50):
    small = np.random.default_rng(seed).integers(0, 255, (5, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "pictures"
    (root / "below").mkdir(parents=True)
    (root / ".hidden").mkdir()
    for i in range(12):
        noise(i).save(root / f"{i:02d}.png")
    noise(0).save(root / "same.png")
    noise(50).save(root / "below" / "deep.jpg")
    noise(51).save(root / ".hidden" / "x.png")
    noise(52, 10, 90).save(root / "small.png")
    Image.new("RGB", (64, 64), "red").save(root / "flat.png")
    (root / "broken.png").write_bytes((root / "03.png").read_bytes()[:200])
    (root / "note.txt").write_text("no picture")
    return root


def test_a_folder(folder, tmp_path):
    seen = []
    done = prepare(str(folder), tmp_path / "set", PrepareConfig(size=16, heldout=0.3),
                   progress=lambda count, so_far: seen.append(count))
    images, heldout = load_prepared(tmp_path / "set")
    assert images.shape == (done.training, 16, 16, 3) and images.dtype == np.uint8
    assert len(heldout) == done.heldout > 0 and done.training + done.heldout == 13 and seen == list(range(1, 18))
    assert done.skipped == {"double": 1, "too small": 1, "one flat colour": 1, "cannot be read": 1}
    skipped = dict(list(csv.reader(open(tmp_path / "set" / "skipped.csv", newline="")))[1:])
    assert "00.png" in skipped["same.png"] and "broken.png" in skipped["broken.png"]
    names = [json.loads(line)["name"] for line in open(tmp_path / "set" / "index.jsonl")]
    assert len(names) == done.training and "flat.png" not in names
    wanted = noise(0).crop((5, 0, 45, 40)).resize((16, 16), Image.Resampling.LANCZOS)
    side = images if "00.png" in names else heldout
    assert any(np.array_equal(row, np.asarray(wanted)) for row in side)
    assert Image.open(tmp_path / "set" / "contact-sheet.png").size[0] % 16 == 0
    again = prepare(str(folder), tmp_path / "again", PrepareConfig(size=16, heldout=0.3), workers=1)
    assert again == done and np.array_equal(load_prepared(tmp_path / "again")[0], images)


def test_near_doubles_grey_alpha_and_limit(tmp_path):
    root = tmp_path / "p"
    root.mkdir()
    noise(1).save(root / "a.png")
    noise(1).save(root / "b.jpg", quality=60)
    noise(2).convert("L").save(root / "c.png")
    clear = noise(3).convert("RGBA")
    clear.putalpha(0)
    clear.paste(noise(4, 10, 50), (0, 0))
    clear.save(root / "d.png")
    done = prepare(str(root), tmp_path / "set", PrepareConfig(size=16, heldout=0, near=4))
    images, heldout = load_prepared(tmp_path / "set")
    assert done.skipped == {"near double": 1} and heldout is None and len(images) == 3
    assert (np.ptp(images[1].astype(int), axis=2) == 0).all()           # grey stays grey
    assert (images[2][8:] == 255).all()                                 # white under transparency
    few = prepare(str(root), tmp_path / "few", PrepareConfig(size=16, heldout=0, limit=2))
    assert few.training == 2
    a, b = (np.asarray(noise(1).resize(size)) for size in ((64, 64), (32, 32)))
    assert bin(int(difference_hash(a)) ^ int(difference_hash(b))).count("1") <= 3
    assert bin(int(difference_hash(a)) ^ int(difference_hash(np.asarray(noise(9))))).count("1") > 10


def shard(path, first, count):
    with tarfile.open(path, "w") as tar:
        for i in range(first, first + count):
            content = io.BytesIO()
            noise(i).save(content, "PNG")
            for name, data in ((f"{i:04d}.png", content.getvalue()), (f"{i:04d}.json", b"{}")):
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))


def test_shards_from_disk_and_from_a_server(tmp_path):
    for number in range(2):
        shard(tmp_path / f"shot-{number}.tar", number * 3, 3)
    done = prepare(str(tmp_path / "shot-{0..1}.tar"), tmp_path / "set", PrepareConfig(size=16, heldout=0))
    assert done.training == 6 and not done.skipped

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(tmp_path))

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/shot-1.tar"
        prepare(url, tmp_path / "web", PrepareConfig(size=16, heldout=0))
    finally:
        server.shutdown()
        server.server_close()
    assert np.array_equal(load_prepared(tmp_path / "web")[0], load_prepared(tmp_path / "set")[0][3:])
    with pytest.raises(CoModError, match="no such shard"):
        prepare(str(tmp_path / "none.tar"), tmp_path / "x")
    with pytest.raises(CoModError, match=r"no shard could be read .*curl"):
        prepare(url, tmp_path / "x")                            # the server is gone


def test_a_shard_that_is_cut_short_is_told_and_the_others_are_read(tmp_path, caplog):
    for number in range(3):
        shard(tmp_path / f"shot-{number}.tar", number * 3, 3)
    whole = (tmp_path / "shot-1.tar").read_bytes()
    (tmp_path / "shot-1.tar").write_bytes(whole[:len(whole) // 3])
    done = prepare(str(tmp_path / "shot-{0..3}.tar"), tmp_path / "set", PrepareConfig(size=16, heldout=0))
    assert 6 <= done.training < 9 and caplog.text.count("what follows in it is left out") >= 2      # one is absent
    assert "No such file" in caplog.text
    with pytest.raises(CoModError, match="no shard could be read"):
        prepare(str(tmp_path / "none-{0..1}.tar"), tmp_path / "x")


def test_a_hugging_face_dataset_in_a_folder(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("broken.png", "flat.png", "same.png", "small.png", "note.txt"):
        (folder / name).unlink()
    done = prepare(f"hf:{folder}", tmp_path / "set", PrepareConfig(size=16, heldout=0))
    assert done.training >= 12
    with pytest.raises(CoModError, match="cannot be opened"):
        prepare(f"hf:{folder}:nosplit", tmp_path / "x")


def test_nothing_is_left_when_it_fails(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CoModError, match="There are no pictures"):
        prepare(str(tmp_path / "empty"), tmp_path / "out")
    Image.new("RGB", (8, 8)).save(tmp_path / "empty" / "small.png")
    with pytest.raises(CoModError, match="1 too small"):
        prepare(str(tmp_path / "empty"), tmp_path / "out")
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    with pytest.raises(CoModError, match="not a folder"):
        prepare(str(tmp_path / "nowhere"), tmp_path / "out")
    with pytest.raises(CoModError, match="power of two"):
        PrepareConfig(size=100)
    with pytest.raises(CoModError, match="not a prepared set"):
        load_prepared(tmp_path / "empty")
