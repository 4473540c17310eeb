"""The command line's parts that need no network: seeds, folders, journal, failures, text for the terminal."""
from __future__ import annotations

import csv

import pytest

from comod_core.cli.folders import MaskFolder, pictures
from comod_core.cli.journal import Failures, Journal
from comod_core.cli.report import explain, printable
from comod_core.cli.seeds import parse_seeds
from comod_core.errors import CoModError


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


@pytest.mark.parametrize("text, seeds", [
    ("7", [7]), ("7,8-11", [7, 8, 9, 10, 11]), (" 3 , 1 - 2 ", [3, 1, 2]), ("5,4-6,5", [5, 4, 6]),
    (str(2 ** 64 - 1), [2 ** 64 - 1]),
])
def test_seeds(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text, word", [
    ("", "neither"), ("a", "neither"), ("-1", "neither"), ("1,,2", "neither"), ("9-7", "backwards"), ("1.5", "neither"),
    (str(2 ** 64), "2\\^64"), ("0-99999999999", "more than"), ("0-999999,2000000", "more than"),
])
def test_bad_seeds_name_the_reason(text, word):
    with pytest.raises(CoModError, match=word):
        parse_seeds(text)


def test_pictures_of_a_folder(tmp_path):
    touch(*(tmp_path / name for name in ("b.PNG", "a.jpg", "a.png", "sub/c.webp", "notes.txt", ".hidden.png",
                                         "out/a_seed7.png")))
    found = pictures(tmp_path, leave_out=(tmp_path / "out",))
    assert [source.name for source in found] == ["a.jpg", "a.png", "b", "sub/c"]
    assert pictures(tmp_path / "a.jpg")[0].name == "a"


def test_a_folder_left_out_is_still_read_when_it_is_the_source(tmp_path):
    touch(tmp_path / "a.png")
    assert len(pictures(tmp_path, leave_out=(tmp_path,))) == 1


def test_nothing_to_read(tmp_path):
    with pytest.raises(CoModError, match="no such file"):
        pictures(tmp_path / "absent")
    with pytest.raises(CoModError, match="no pictures"):
        pictures(tmp_path)


def test_masks_by_stem(tmp_path):
    images, masks = tmp_path / "images", tmp_path / "masks"
    touch(images / "a.jpg", images / "b.png", images / "sub" / "c.png", images / "d.png", images / "e.png")
    touch(masks / "a.png", masks / "b_mask.png", masks / "sub" / "c.png", masks / "c.png", masks / "d.png",
          masks / "d.webp")
    by_name = {source.name: source for source in pictures(images)}
    folder = MaskFolder(masks)
    assert folder.of(by_name["a"]) == masks / "a.png"
    assert folder.of(by_name["b"]) == masks / "b_mask.png"
    assert folder.of(by_name["sub/c"]) == masks / "sub" / "c.png"
    with pytest.raises(CoModError, match="more than one mask"):
        folder.of(by_name["d"])
    with pytest.raises(CoModError, match="no mask"):
        folder.of(by_name["e"])


def test_masks_beside_their_pictures(tmp_path):
    touch(*(tmp_path / name for name in ("a.png", "a_mask.png", "b.png", "b-mask.png", "gas_mask.png")))
    folder = MaskFolder(tmp_path)
    found = folder.pictures_among(pictures(tmp_path))
    assert [source.name for source in found] == ["a", "b", "gas_mask"]
    assert folder.of(found[0]) == tmp_path / "a_mask.png" and folder.of(found[1]) == tmp_path / "b-mask.png"


def test_journal_outlives_a_kill(tmp_path):
    journal = Journal(tmp_path)
    for name, seed in (("a.png", 1), ("b.png", 1)):
        journal.add(name, {"seed": seed})
        touch(tmp_path / name)
    journal.path.write_text(journal.path.read_text()[:-5])  # a kill in the middle of the last line

    again = Journal(tmp_path)
    assert again.finished("a.png", {"seed": 1})
    assert not again.finished("a.png", {"seed": 2})
    assert not again.finished("b.png", {"seed": 1})
    again.add("c.png", {"seed": 3})
    touch(tmp_path / "c.png")
    last = Journal(tmp_path)
    assert last.finished("c.png", {"seed": 3}) and last.finished("a.png", {"seed": 1})
    (tmp_path / "c.png").unlink()
    assert not last.finished("c.png", {"seed": 3})


def test_journal_keeps_strangers_files(tmp_path):
    touch(tmp_path / "mine.png")
    journal = Journal(tmp_path)
    with pytest.raises(CoModError, match="--overwrite"):
        journal.check_free("mine.png")
    journal.check_free("absent.png")
    journal.add("mine.png", {})
    journal.check_free("mine.png")


def test_failures_are_csv_and_begin_anew(tmp_path):
    failures = Failures(tmp_path)
    failures.add(tmp_path / "a, b.png", 'said "no"\nand stopped')
    with open(failures.path, newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["file", "error"], [str(tmp_path / "a, b.png"), 'said "no"\nand stopped']]
    Failures(tmp_path)
    assert not failures.path.exists()


def test_texts_cannot_drive_the_terminal():
    assert printable("a\x1b[31m\r\tb\nc") == "a\\x1b[31m\\r\\tb\nc"
    assert printable("caf\u00e9 \u202e") == "caf\u00e9 \\u202e"
    assert explain(CoModError("plain words")) == "plain words"
    assert explain(KeyError("x")) == "KeyError: 'x'"
