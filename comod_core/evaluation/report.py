"""The report of an evaluation: report.html, which needs no other file, and report.png."""
from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

from ..errors import CoModError
from ..files import atomic_write
from .charts import FAINT, INK, STYLE, Chart, Names, charts, load_matplotlib, percent
from .gallery import Case, file_of, panel

WHICH = ("best", "median", "worst")
SHARES = ("P-IDS", "U-IDS", "precision", "recall", "coverage")
PLAIN = ("LPIPS diversity", "L1 in the hole")       # names without the feature network's
EXPLAINED = {
    "FD": "Fréchet distance of features: smaller is better, falls with more pictures",
    "KID": "kernel distance of features: smaller is better",
    "P-IDS": "completions that a linear SVM finds more real than their own picture, at most 50 %",
    "U-IDS": "pictures that a linear SVM takes for the wrong kind, at most 50 %",
    "diversity": "perceptual distance between two completions of one hole",
    "LPIPS diversity": "the same by LPIPS on AlexNet, as it is published",
    "L1 in the hole": "mean difference of 0 to 255 to what was there"}


def check_packages() -> None:
    """Raise CoModError, before any work is done, when a package that a report needs is missing."""
    load_matplotlib()
    _template()
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise CoModError("P-IDS and U-IDS need scikit-learn: pip install scikit-learn") from error


def write_report(out: Path, result: dict, cases: Sequence[Case]) -> None:
    """Write OUT/report.html and OUT/report.png. Raises CoModError when matplotlib or jinja2 is missing."""
    found = charts(result)
    text, figure = page(result, found, cases), _figure(result, found, cases)
    with atomic_write(Path(out) / "report.html", "w") as file:
        file.write(text)
    with atomic_write(Path(out) / "report.png") as file, load_matplotlib().rc_context(STYLE):
        figure.savefig(file, format="png", dpi=110, metadata={"Software": None})


def shown(metric: str, value: float) -> str:
    """A score for a person: shares in percent, others with as many digits as they deserve."""
    if metric.startswith(SHARES):
        return f"{100 * value:.2f} %"
    return f"{value:.5f}" if "KID" in metric else f"{value:.3f}" if abs(value) < 10 else f"{value:.2f}"


def headline(result: dict) -> list[tuple[str, str, str]]:
    """(metric, value, what it is) of the first psi over mixed holes."""
    row = main_row(result)
    names = {key if key in PLAIN else Names(result)(key): text for key, text in EXPLAINED.items()}
    return [(name, shown(name, row["scores"][name]), text) for name, text in names.items() if name in row["scores"]]


def main_row(result: dict) -> dict:
    """Over mixed holes at the first psi; where there is one bin only, that bin."""
    mine = [row for row in result["rows"] if row["psi"] == result["protocol"]["sampling"]["psi"][0]]
    return next((row for row in mine if row["mixed"]), mine[0])


def tables(result: dict) -> list[dict]:
    """For each psi: its bins' titles, and (metric, values) row by row."""
    found = []
    for psi in result["protocol"]["sampling"]["psi"]:
        rows = [row for row in result["rows"] if row["psi"] == psi]
        titles = ["mixed" if row["mixed"] else percent(*row["holes"]) for row in rows]
        lines = [(key, [shown(key, row["scores"][key]) for row in rows]) for key in rows[0]["scores"]]
        found.append({"psi": f"{psi:g}", "titles": titles, "lines": lines,
                      "ratios": [f"{100 * row['hole_ratio']:.1f} %" for row in rows]})
    return found


def page(result: dict, found: Sequence[Chart], cases: Sequence[Case]) -> str:
    """The report as HTML that needs no other file."""
    pictures = [(chart, _uri("image/svg+xml", chart.svg().encode())) for chart in found]
    panels = {which: [(percent(*case.facts["holes"]), case.facts, [_uri(*file_of(tile)) for tile in case.tiles])
                      for case in cases if case.facts["which"] == which] for which in WHICH}
    return _template().render(
        result=result, protocol=result["protocol"], headline=headline(result), charts=pictures, panels=panels,
        tables=tables(result), psi=f"{result['protocol']['sampling']['psi'][0]:g}", command=command(result))


def _template():
    try:
        import jinja2
    except ImportError as error:
        raise CoModError("the report page needs jinja2: pip install jinja2") from error
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True,
                                     trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    return environment.get_template("report.html")


def command(result: dict) -> str:
    """The command line that repeats the evaluation on the same pictures."""
    protocol = result["protocol"]
    masks, network = protocol["masks"], protocol["features"]["name"]
    known = {"Lite0": "lite0", "Inception": "inception"}
    parts = ["comod evaluate", protocol["model"]["name"], "--data", protocol["data"]["name"],
             "--holes", ",".join(f"{x:g}" for x in masks["holes"]), "--count", str(protocol["data"]["count"]),
             "--seed", str(protocol["seed"]), "--pairs", str(protocol["pairs"]),
             "--features", known.get(network, f"{network}.pt"),
             "--psi", ",".join(f"{x:g}" for x in protocol["sampling"]["psi"])]
    if protocol["model"]["sha256"] is None:
        parts += ["--size", str(masks["size"])]
    parts += ["--lpips"] if "lpips" in protocol else []
    return " ".join(parts + (["--raw"] if protocol["sampling"].get("feather") == 0 else []))


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _figure(result: dict, found: Sequence[Chart], cases: Sequence[Case]):
    """Header, charts and pictures on one figure."""
    matplotlib, protocol = load_matplotlib(), result["protocol"]
    with matplotlib.rc_context(STYLE):
        count = len({tuple(case.facts["holes"]) for case in cases})
        heights = [1.25, 6.4, 0.75 + 0.95 * count]
        figure = matplotlib.figure.Figure(figsize=(13.5, sum(heights)), facecolor="white")
        header, middle, bottom = figure.subfigures(3, 1, height_ratios=heights)
        header.text(0.012, 0.72, f"CoMod evaluation: {protocol['model']['name']}", fontsize=19, fontweight="bold")
        header.text(0.012, 0.46, summary(result), fontsize=10, color="#52606d")
        header.text(0.012, 0.12, "     ".join(f"{name}  {value}" for name, value, _ in headline(result)), fontsize=12)
        for chart, axes in zip(found, middle.subplots(2, 3).flat, strict=False):
            chart.draw(axes)
        middle.subplots_adjust(left=0.045, right=0.98, top=0.95, bottom=0.09, wspace=0.2, hspace=0.42)
        for axes in middle.axes[len(found):]:
            axes.set_axis_off()
        for which, axes in zip(WHICH, bottom.subplots(1, 3), strict=True):
            _pictures(axes, which, [case for case in cases if case.facts["which"] == which])
        bottom.subplots_adjust(left=0.05, right=0.955, top=0.93, bottom=0.05, wspace=0.3)
    return figure


def _pictures(axes, which: str, cases: Sequence[Case]) -> None:
    """A panel of cases, a bin a row, with the error at the right of each."""
    picture = panel(cases)
    height, width = picture.shape[:2]
    axes.imshow(picture, interpolation="antialiased", aspect="equal")
    axes.set_axis_off()
    axes.set_title(f"{which.capitalize()} by error in the hole")
    for i, case in enumerate(cases):
        middle = (i + 0.5) * height / len(cases)
        axes.text(-0.01 * width, middle, percent(*case.facts["holes"]), ha="right", va="center", fontsize=7.5)
        axes.text(1.01 * width, middle, f"L1 {case.facts['L1 in the hole']:.1f}", va="center", fontsize=7.5, color=INK)
    titles = ("picture", "hole", "completion", "second seed")[:len(cases[0].tiles)]
    for j, title in enumerate(titles):
        axes.text((j + 0.5) * width / len(titles), 1.01 * height, title, ha="center", va="top", fontsize=7.5,
                  color=FAINT)


def summary(result: dict) -> str:
    """One line: data, number, features, psi, seed."""
    protocol, size = result["protocol"], result["protocol"]["masks"]["size"]
    digest, data = protocol["model"]["sha256"], protocol["data"]
    parts = (f"{data['count']:,} pictures of {data['name']} at {size}\N{MULTIPLICATION SIGN}{size}",
             f"features: {protocol['features']['name']}", f"free-form holes, seed {protocol['seed']}",
             f"psi {protocol['sampling']['psi'][0]:g}",
             f"model {digest[:12] if digest else protocol['model']['architecture']}")
    return "  \N{MIDDLE DOT}  ".join(parts)
