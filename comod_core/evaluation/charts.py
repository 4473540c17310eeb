"""Charts of a result, drawn with matplotlib: for the report page as SVG, for the report picture on one figure."""
from __future__ import annotations

import io
from collections.abc import Callable, Sequence

from ..errors import CoModError

INK, FAINT, ACCENT = "#1f2933", "#9aa5b1", "#0b6e75"
HUES = ("#0b6e75", "#d1495b", "#e09f3e", "#5c4b99")
STYLE = {"font.family": "sans-serif", "font.size": 9, "axes.edgecolor": FAINT, "axes.labelcolor": INK,
         "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.grid.axis": "y",
         "grid.color": "#e4e7eb", "grid.linewidth": 0.8, "axes.axisbelow": True, "xtick.color": INK, "ytick.color": INK,
         "xtick.major.size": 0, "ytick.major.size": 0, "text.color": INK, "axes.titlesize": 10.5,
         "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.titlepad": 10, "legend.frameon": False,
         "legend.fontsize": 8, "lines.linewidth": 2, "lines.markersize": 5, "svg.fonttype": "none",
         "svg.hashsalt": "comod"}


class Chart:
    """A titled chart; `draw(axes)` paints it. text: what it shows, for those who cannot see it."""

    def __init__(self, title: str, text: str, draw: Callable):
        self.title, self.text, self._draw = title, text, draw

    def draw(self, axes) -> None:
        axes.set_title(self.title)
        self._draw(axes)

    def svg(self, size: tuple[float, float] = (4.0, 2.75)) -> str:
        """The chart as an SVG document; the same result gives the same text."""
        matplotlib = load_matplotlib()
        with matplotlib.rc_context(STYLE):
            figure = matplotlib.figure.Figure(figsize=size)
            self.draw(figure.add_subplot())
            figure.subplots_adjust(left=0.135, right=0.96, top=0.87, bottom=0.17)
            file = io.StringIO()
            figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
        return file.getvalue()


def load_matplotlib():
    """The package with its `figure` module. Raises CoModError when it is missing."""
    try:
        import matplotlib
        import matplotlib.figure
    except ImportError as error:
        raise CoModError("the report's charts need matplotlib: pip install matplotlib") from error
    return matplotlib


def charts(result: dict) -> list[Chart]:
    """Those of a result (see `run.evaluate`): curves over the hole ratio, and quality against diversity over psi."""
    name = Names(result)
    found = [_over_holes(result, name("FD"), "smaller is better"),
             _shares(result, [name("U-IDS"), name("P-IDS")], "U-IDS and P-IDS", "larger is better, at most 50 %"),
             _over_holes(result, name("diversity"), "between two completions"),
             _over_holes(result, "L1 in the hole", "of 255, against what was there"),
             _shares(result, [name(key) for key in ("precision", "recall", "coverage")], "Precision, recall, coverage",
                     "larger is better")]
    sweep = len(result["protocol"]["sampling"]["psi"]) > 1 and name("diversity") in result["rows"][0]["scores"]
    last = _sweep(result, name) if sweep else _over_holes(result, name("KID"), "smaller is better")
    return [chart for chart in (*found, last) if chart]


class Names:
    """`Names(result)("FD")` is what that metric is called with the result's network."""

    def __init__(self, result: dict):
        self._known, self._network = result["rows"][0]["scores"], result["protocol"]["features"]["name"]

    def __call__(self, metric: str) -> str:
        published = {"FD": "FID"}.get(metric, metric)
        return published if published in self._known else f"{metric}-{self._network}"


def percent(low: float, high: float) -> str:
    """A hole bin for a person: 20-40 %."""
    return f"{100 * low:g}\N{EN DASH}{100 * high:g} %"


def _bins(result: dict, psi: float) -> list[dict]:
    return [row for row in result["rows"] if row["psi"] == psi and not row["mixed"]]


def _over_holes(result: dict, metric: str, note: str) -> Chart | None:
    """One line a psi over the bins."""
    psis = result["protocol"]["sampling"]["psi"]
    if metric not in result["rows"][0]["scores"]:
        return None

    def draw(axes) -> None:
        for i, (psi, hue) in enumerate(zip(psis, _shades(len(psis)), strict=True)):
            # the others are wide and lie below, so that lines which coincide are all seen
            _line(axes, _bins(result, psi), metric, hue, f"psi {psi:g}", 3.6 if i else 1.8, zorder=3 - i / len(psis))
        _finish(axes, result, note, len(psis) > 1)

    return Chart(metric, f"{metric} ({note}) over the share of the picture that is hole.", draw)


def _shares(result: dict, metrics: Sequence[str], title: str, note: str) -> Chart | None:
    """One line a metric over the bins, in percent, at the first psi."""
    psi = result["protocol"]["sampling"]["psi"][0]
    if any(metric not in result["rows"][0]["scores"] for metric in metrics):
        return None
    network = metrics[0].partition("-" + result["protocol"]["features"]["name"])[1]

    def draw(axes) -> None:
        for metric, hue in zip(metrics, HUES, strict=False):
            _line(axes, _bins(result, psi), metric, hue, metric.removesuffix(network), 2.2, 100)
        axes.yaxis.set_major_formatter("{x:g} %")
        _finish(axes, result, note, True)

    title += f" ({result['protocol']['features']['name']})" if network else ""
    return Chart(title, f"{title} at psi {psi:g} ({note}) over the share of the picture that is hole.", draw)


def _line(axes, rows: Sequence[dict], metric: str, hue: str, label: str, width: float, scale: float = 1,
          zorder: float = 2) -> None:
    axes.plot(range(len(rows)), [scale * row["scores"][metric] for row in rows], marker="o", color=hue, label=label,
              linewidth=width, zorder=zorder, markeredgecolor="white", clip_on=False)


def _finish(axes, result: dict, note: str, legend: bool) -> None:
    bins = _bins(result, result["protocol"]["sampling"]["psi"][0])
    axes.set_xticks(range(len(bins)), [percent(*row["holes"]).removesuffix(" %") for row in bins])
    axes.set_xlabel(f"hole, % of the picture  ({note})", color="#52606d")
    axes.margins(x=0.04)
    values = [value for line in axes.lines for value in line.get_ydata()]
    low, high = min(0, *values), max(0, *values)
    axes.set_ylim(1.08 * low, 1.08 * high if high > 0 else 1)
    if legend:
        axes.legend(loc="best")


def _sweep(result: dict, name: Names) -> Chart:
    """Quality against diversity: one line a bin, one point a psi."""
    psis, fd, diversity = sorted(result["protocol"]["sampling"]["psi"]), name("FD"), name("diversity")

    def draw(axes) -> None:
        bins = [row["holes"] for row in _bins(result, psis[0])]
        for holes, hue in zip(bins, reversed(_shades(len(bins))), strict=True):
            rows = [row for psi in psis for row in _bins(result, psi) if row["holes"] == holes]
            x, y = ([row["scores"][key] for row in rows] for key in (diversity, fd))
            axes.plot(x, y, marker="o", color=hue, label=percent(*holes), markeredgecolor="white", clip_on=False)
        for psi, a, b in zip(psis, x, y, strict=True):      # at the last bin, where the points lie far apart
            axes.annotate(f"{psi:g}", (a, b), xytext=(0, 6), textcoords="offset points", ha="center", fontsize=7.5)
        axes.set_xlabel(f"{diversity}  (numbers: psi)", color="#52606d")
        axes.set_ylabel(fd, color="#52606d")
        axes.set_ylim(bottom=0)
        axes.legend(title="hole", title_fontsize=8, loc="best")

    return Chart("Quality against diversity", f"{fd} against {diversity} as psi changes, a line for each hole bin.",
                 draw)


def _shades(count: int) -> list[str]:
    """From the accent colour to a pale one."""
    dark, pale = (11, 110, 117), (178, 214, 216)
    steps = [i / max(count - 1, 1) for i in range(count)]
    return ["#" + "".join(f"{round(a + (b - a) * t):02x}" for a, b in zip(dark, pale, strict=True)) for t in steps]
