"""Conditions: lines of drawings and photos, fitted to networks; edge networks of one's own."""
import pytest
import torch

from comod_core.conditions import Condition, fit_lines, from_drawing, from_labels, from_photo, load_detector
from comod_core.errors import CoModError
from comod_core.labels import AVATAR_PARTS


def stroke(size=64, width=3, at=20):
    drawing = torch.ones(1, 3, size, size)
    drawing[..., at:at + width, 8:size - 8] = -1
    return drawing


def half(size=32):
    """Dark left, bright right."""
    photo = torch.full((1, 3, size, size), -0.6)
    photo[..., size // 2:] = 0.7
    return photo


def test_dark_lines_or_light_ones_or_ink_on_nothing():
    lines = from_drawing(stroke()).lines
    assert lines.shape == (1, 1, 64, 64) and lines[0, 0, 21, 30] == 1 and lines.sum() == 3 * 48
    assert torch.equal(from_drawing(-stroke()).lines, lines)
    assert torch.equal(from_drawing(stroke()[:, :1]).lines, lines)
    clear = torch.full((1, 4, 64, 64), -1.0)                          # black ink, everything else transparent
    clear[:, 3] = -stroke()[:, 0]
    assert torch.equal(from_drawing(clear).lines, lines)
    assert torch.equal(from_drawing(stroke(), invert=True).lines, 1 - lines)


@pytest.mark.parametrize("size", [128, 300, 1024])
def test_thin_strokes_stay_visible_when_they_shrink(size):
    small = fit_lines(from_drawing(stroke(size, 2, size // 3)).lines, 64)
    assert small.shape == (1, 1, 64, 64) and small.max() == 1
    row = int(size // 3 * 64 / size)
    assert small[0, 0, row - 1:row + 3, 20:44].amax(dim=0).min() > 0.7
    assert small[0, 0, :row - 2].max() == 0 and small[0, 0, row + 4:].max() == 0


def test_a_blank_sheet_stays_blank():
    assert fit_lines(torch.zeros(1, 1, 200, 200), 64).max() == 0


def test_a_wide_drawing_gets_paper_above_and_below():
    fitted = Condition("edges", lines=torch.ones(1, 1, 16, 32)).fit(32, 1)
    assert (fitted[:, :, :8] == 1).all() and (fitted[:, :, 8:24] == -1).all() and (fitted[:, :, 24:] == 1).all()


@pytest.mark.parametrize("detector", ["canny", "soft"])
def test_detectors_find_the_edge(detector):
    lines = from_photo(half(), detector).lines
    assert lines.shape == (1, 1, 32, 32) and lines[0, 0, 10, 14:18].max() > 0.9
    assert lines[..., :12].max() == 0 and lines[..., 20:].max() == 0
    assert from_photo(half(128), detector, 32).lines.shape == (1, 1, 32, 32)


def test_thresholds_count():
    faint = half() * 0.15
    assert from_photo(faint, "canny").lines.max() == 0 and from_photo(faint, "canny", low=10, high=20).lines.max() == 1
    assert from_photo(faint, "soft", softness=0.5).lines.max() < from_photo(faint, "soft", softness=0.05).lines.max()


def test_an_edge_network_of_ones_own(tmp_path):
    class Both(torch.nn.Module):
        def forward(self, x):
            side = (x[:, :1] - x.mean(dim=3, keepdim=True)[:, :1]).abs()
            return [side * 0, side]

    class Wrong(torch.nn.Module):
        def forward(self, x):
            return x

    torch.jit.script(Both()).save(tmp_path / "hed.pt")
    torch.jit.script(Wrong()).save(tmp_path / "wrong.pt")
    lines = from_photo(half(), load_detector(tmp_path / "hed.pt")).lines
    assert lines.shape == (1, 1, 32, 32) and lines.max() == pytest.approx(0.325, abs=1e-3)
    with pytest.raises(CoModError, match="expected .1, 1, 32, 32."):
        from_photo(half(), load_detector(tmp_path / "wrong.pt"))
    (tmp_path / "text.pt").write_text("no")
    with pytest.raises(CoModError, match="not a TorchScript file"):
        load_detector(tmp_path / "text.pt")


def test_what_networks_see():
    edges = from_drawing(stroke())
    assert torch.equal(edges.fit(64, 3)[:, :1], edges.fit(64, 1)) and edges.fit(64, 1).min() == -1
    labels = torch.randint(0, 7, (1, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    condition = from_labels(labels, AVATAR_PARTS)
    assert torch.equal(condition.fit(64, 7).argmax(1), labels.long())
    assert torch.allclose(condition.fit(64, 3), condition.picture())   # a palette picture
    assert len(condition) == 1 and torch.equal(condition[0].labels, labels)
    with pytest.raises(CoModError, match="takes drawings, and the label map has 7 classes .background"):
        condition.fit(64, 1)
    with pytest.raises(CoModError, match="7 channels, label maps"):
        edges.fit(64, 7)


@pytest.mark.parametrize(("options", "wrong"), [
    ({"detector": "sobel"}, "canny, soft"), ({"low": 90.0, "high": 20.0}, "nor fall"), ({"softness": 0.0}, "positive")])
def test_bad_options(options, wrong):
    with pytest.raises(CoModError, match=wrong):
        from_photo(half(), **options)
