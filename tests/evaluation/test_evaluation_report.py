"""The report: one file that needs no other, with the result's numbers and pictures in it."""
import base64
import copy
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_evaluation import PROTOCOL, SIZE

from comod_core.evaluation.charts import Names, charts
from comod_core.evaluation.gallery import Case, cases, panel
from comod_core.evaluation.report import command, headline, page, shown, tables, write_report
from comod_core.evaluation.shards import column


@pytest.fixture(scope="module")
def shown_cases(evaluation, network, dataset):
    return cases(network, dataset, evaluation[1]["examples"], PROTOCOL)


@pytest.fixture(scope="module")
def report(evaluation, shown_cases, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    write_report(folder, evaluation[1], shown_cases)
    return folder


def test_the_page_needs_no_other_file(report):
    text = (report / "report.html").read_text(encoding="utf-8")
    assert re.findall(r"<(?:script|link|iframe)", text) == []
    sources = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert len(sources) == 6 + 3 * 2 * 4 and all(source.startswith("data:image/") for source in sources)
    for source in sources:
        kind, content = source.split(";base64,")
        content = base64.b64decode(content)
        if kind == "data:image/svg+xml":
            assert b"http" not in re.sub(rb'(?:xmlns[:\w]*|rdf:resource)="[^"]*"|<!DOCTYPE[^>]*>', b"", content)
        else:
            assert Image.open(io.BytesIO(content)).size == (SIZE, SIZE)


def test_the_page_shows_the_numbers(report, evaluation):
    text, result = (report / "report.html").read_text(encoding="utf-8"), evaluation[1]
    for row in result["rows"]:
        for metric, value in row["scores"].items():
            assert shown(metric, value) in text
    for fact in (result["protocol"]["data"]["sha256"], result["protocol"]["model"]["sha256"], command(result),
                 result["warnings"][0], "statistics", "untrained"):
        assert fact in text


def test_the_pictures_are_those_of_the_result(shown_cases, evaluation, dataset):
    folder, result = evaluation
    assert [case.facts for case in shown_cases] == result["examples"]
    error = column([folder / "features" / name for name in result["features"]], "l1_hole", 0, 1)
    worst = next(case for case in shown_cases if case.facts["which"] == "worst" and case.facts["holes"] == [0.4, 1])
    real, holed, fake, second = (tile.astype(float) for tile in worst.tiles)
    assert np.array_equal(real, dataset.load(worst.facts["at"])) and (fake != second).any()
    hidden = (holed == 206).all(-1) & (real != 206).any(-1)
    assert np.abs(real - fake)[hidden].mean() == pytest.approx(error.max(), rel=0.05)


def test_the_picture_of_the_report(report):
    with Image.open(report / "report.png") as picture:
        assert picture.width == 1485 and picture.height > 900
        values = np.asarray(picture.convert("RGB"))
    assert (values == 255).mean() > 0.4 and len(np.unique(values[::3, ::3].dot([1, 256, 65536]))) > 500


def test_a_second_report_is_the_same(report, evaluation, shown_cases, tmp_path):
    write_report(tmp_path, json.loads((evaluation[0] / "result.json").read_text()), shown_cases)
    for name in ("report.html", "report.png"):
        assert (tmp_path / name).read_bytes() == (report / name).read_bytes(), name


def test_names_of_files_are_no_markup(evaluation, shown_cases):
    result = copy.deepcopy(evaluation[1])
    result["protocol"]["data"]["name"] = "<script>alert(1)</script>"
    result["skipped"] = {"a<b>.png": "damaged & <i>odd</i>"}
    text = page(result, [], shown_cases)
    assert "<script" not in text and "a&lt;b&gt;.png" in text and "<i>odd" not in text


def published(result):
    """The result as Inception would have named it."""
    text = json.dumps(result).replace("FD-statistics", "FID").replace("-statistics", "")
    return json.loads(text.replace('"name": "statistics"', '"name": "Inception"'))


def test_only_inception_gives_fid(evaluation):
    names = [name for name, _, _ in headline(evaluation[1])]
    assert names[:4] == [f"{x}-statistics" for x in ("FD", "KID", "P-IDS", "U-IDS")] and "FID" not in str(names)
    result = published(evaluation[1])
    assert [name for name, _, _ in headline(result)][:4] == ["FID", "KID", "P-IDS", "U-IDS"]
    assert "--features inception" in command(result) and "--features statistics.pt" in command(evaluation[1])
    assert [chart.title for chart in charts(result)][:2] == ["FID", "U-IDS and P-IDS"]


def test_charts_of_one_psi_of_one_bin_and_without_diversity(evaluation):
    result = copy.deepcopy(evaluation[1])
    result["protocol"]["sampling"]["psi"] = [1.0]
    result["rows"] = [row for row in result["rows"] if row["psi"] == 1 and row["holes"] == [0, 0.4]]
    for row in result["rows"]:
        del row["scores"]["diversity-statistics"]
    titles = [chart.title for chart in charts(result)]
    assert titles == ["FD-statistics", "U-IDS and P-IDS (statistics)", "L1 in the hole",
                      "Precision, recall, coverage (statistics)", "KID-statistics"]
    assert all("<svg" in chart.svg() for chart in charts(result)) and Names(result)("FD") == "FD-statistics"
    assert len(headline(result)) == 5 and len(tables(result)) == 1


def test_the_sweep_has_a_point_a_psi_and_bin(evaluation):
    sweep = charts(evaluation[1])[-1]
    assert sweep.title == "Quality against diversity"

    class Axes:
        def __init__(self):
            self.lines = []

        def plot(self, x, y, **_):
            self.lines.append(list(zip(x, y, strict=True)))

        def __getattr__(self, _):
            return lambda *rest, **more: None

    sweep.draw(axes := Axes())
    expected = [[(row["scores"]["diversity-statistics"], row["scores"]["FD-statistics"]) for psi in (0.5, 1.0)
                 for row in evaluation[1]["rows"] if row["psi"] == psi and row["holes"] == holes and not row["mixed"]]
                for holes in ([0, 0.4], [0.4, 1])]
    assert axes.lines == expected


@pytest.mark.parametrize("size, side", [(16, 160), (64, 128), (100, 100), (512, 160)])
def test_tiles_are_enlarged_by_whole_numbers(size, side):
    tile = np.zeros((size, size, 3), np.uint8)
    assert panel([Case({}, [tile] * 4)] * 2).shape == (2 * side + 3, 4 * side + 9, 3)


def test_the_template_is_packaged():
    text = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text()
    assert '"comod_core.evaluation" = ["*.html"]' in text
