"""Label maps: tables, palette and numbered pictures, sizes, and errors that name the label and its colour."""
import json

import numpy as np
import pytest
import torch

from comod_core.conditions import from_labels
from comod_core.errors import CoModError
from comod_core.labels import (
    AVATAR_PARTS,
    UNLABELLED,
    LabelClass,
    fit_labels,
    from_numbers,
    from_palette,
    one_hot,
    outlines,
    paint,
    parse_table,
    read_table,
)

TABLE = (LabelClass("sky", (0, 128, 255)), LabelClass("grass", (0, 160, 0)), LabelClass("road sign", (255, 0, 0)))


def some_labels():
    return torch.randint(0, 3, (2, 6, 9), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def test_a_table_is_read_in_every_spelling(tmp_path):
    text = "// colours\nsky #0080ff\n\n1, grass, #00a000\n2: road sign = #FF0000\n"
    assert parse_table(text) == TABLE and parse_table(map(str, TABLE)) == TABLE
    (tmp_path / "table.txt").write_text(text)
    (tmp_path / "table.json").write_text(json.dumps([[one.name, str(one).split()[-1]] for one in TABLE]))
    assert read_table(tmp_path / "table.txt") == read_table(tmp_path / "table.json") == TABLE
    assert [one.name for one in AVATAR_PARTS] == ["background", "skin", "hair", "eyes", "mouth", "clothes", "other"]


@pytest.mark.parametrize(("text", "wrong"), [
    ("sky", "line 1: 'sky' is no class"), ("sky #12345", "is no class"), ("", "0 classes"),
    ("a #000000\nb #000000", "'a #000000' and 'b #000000' have the same colour"),
    ("a #000000\na #000001", "same name")])
def test_a_bad_table_says_where(text, wrong):
    with pytest.raises(CoModError, match=wrong):
        parse_table(text)


def test_unreadable_tables(tmp_path):
    (tmp_path / "t.json").write_text("{}1")
    with pytest.raises(CoModError, match="t.json: a class table in JSON"):
        read_table(tmp_path / "t.json")
    with pytest.raises(CoModError, match="cannot be read"):
        read_table(tmp_path / "none.txt")


def test_painting_and_reading_back():
    labels = some_labels()
    picture = paint(labels, TABLE)
    assert picture.shape == (2, 3, 6, 9)
    assert torch.equal(from_palette(picture, TABLE), labels)
    shifted = (picture + 0.1 * torch.randn(picture.shape, generator=torch.Generator().manual_seed(1))).clamp(-1, 1)
    assert torch.equal(from_palette(shifted, TABLE), labels)            # as a JPEG would
    clear = torch.cat([picture, torch.ones(2, 1, 6, 9)], dim=1)
    clear[0, 3, 2, 3] = -1
    found = from_palette(clear, TABLE)
    assert found[0, 2, 3] == UNLABELLED and (found == UNLABELLED).sum() == 1


def test_a_colour_of_no_class_is_named():
    picture = paint(some_labels(), TABLE)
    picture[1, :, 2:5, 4:7] = torch.tensor([200, 0, 200]).view(3, 1, 1) / 127.5 - 1
    with pytest.raises(CoModError, match="#c800c8 .9 pixels, the first at column 4, row 2.*nearest is road sign"):
        from_palette(picture, TABLE)
    with pytest.raises(CoModError, match="belongs to no class"):
        from_palette(torch.zeros(1, 1, 4, 4), TABLE)


def test_numbers():
    labels = some_labels()
    labels[0, 0, 0] = UNLABELLED
    assert torch.equal(from_numbers(labels[:, None].float() / 127.5 - 1, TABLE), labels)
    labels[1, 3, 2] = 9
    with pytest.raises(CoModError, match="label 9 at column 2, row 3 is none of the 3 classes .0 sky to 2 road sign"):
        from_numbers(labels[:, None].float() / 127.5 - 1, TABLE)
    with pytest.raises(CoModError, match="uint8"):
        from_labels(labels.long(), TABLE)


def test_one_hot_leaves_unlabelled_out():
    labels = some_labels()
    labels[0, 1, 1] = UNLABELLED
    hot = one_hot(labels, 3)
    assert hot.shape == (2, 3, 6, 9) and torch.equal(hot.argmax(1)[labels != 255], labels[labels != 255].long())
    assert hot.sum() == hot[:, 0].numel() - 1 and not hot[0, :, 1, 1].any()


def test_fitting_takes_the_commonest_label_and_pads_with_none():
    labels = torch.zeros(1, 8, 8, dtype=torch.uint8)
    labels[:, :4, :3] = 2                       # three of four columns of the first cell
    small = fit_labels(labels, 2)
    assert small.tolist() == [[[2, 0], [0, 0]]]
    wide = fit_labels(labels[:, :4], 8)
    assert (wide[:, :2] == UNLABELLED).all() and (wide[:, 6:] == UNLABELLED).all()
    assert torch.equal(wide[:, 2:6], labels[:, :4])
    assert torch.equal(fit_labels(labels, 16), labels.repeat_interleave(2, 1).repeat_interleave(2, 2))


def test_outlines_lie_where_the_label_changes():
    labels = np.zeros((5, 6), np.uint8)
    labels[2:, 3:] = 1
    lines = outlines(labels)
    assert lines[2, 3:].all() and lines[2:, 3].all() and lines.sum() == 255 * 5
