"""Translation of drawings, photos and label pictures, once a seed."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from .. import conditions, labels
from ..checks import check_sampling
from ..errors import CoModError
from ..images import open_picture, save_picture
from ..translation import check_translator, classes_of, condition_kind, translate
from .folders import Source
from .journal import Journal, file_mark
from .runs import Outcome, Results, Task
from .seeded import SeedRun
from .sheet import sheet, tile

WAYS = {"edges": ("drawing", *conditions.DETECTORS), "labels": ("colours", "numbers")}


class Translations(SeedRun):
    """Pictures of `source` to conditions, and those to pictures, once a seed.

    way: how a picture is read, one of WAYS or a TorchScript file of an edge network, None for the first of the model's
    kind. table: file of the classes, None for the model's. detection and sampling: keywords of `conditions.from_photo`
    and `translation.translate`.
    """

    def __init__(self, source: Path, way: str | None, table: Path | None, seeds: Sequence[int],
                 detection: Mapping[str, float], sampling: Mapping[str, object], results: Results):
        super().__init__(source, seeds, sampling, results)
        self.way, self.table, self.detection = way, table, detection
        self.classes: tuple[labels.LabelClass, ...] = () if table is None else labels.read_table(table)
        self.detector: str | conditions.Detector = "canny"

    def check(self, net) -> None:
        check_translator(net)
        check_sampling(net, self.sampling["psi"], None, self.sampling["noise_mode"])
        kind = condition_kind(net)
        self.way = self.way or WAYS[kind][0]
        if kind == "edges" and self.way not in WAYS["edges"] and Path(self.way).is_file():
            self.detector = conditions.load_detector(self.way)
        elif self.way not in WAYS[kind]:
            more = ", or the TorchScript file of an edge network" if kind == "edges" else ""
            raise CoModError(f"--from {self.way}: this model takes {kind}: give {' or '.join(WAYS[kind])}{more}.")
        elif self.way in conditions.DETECTORS:
            self.detector = self.way
        if kind == "edges" and self.classes:
            raise CoModError("--classes: this model takes drawings, which have no classes.")
        if kind == "labels":
            self.classes = self.classes or classes_of(net)
            if not self.classes:
                raise CoModError("the model's file does not say which classes it was trained with: give --classes "
                                 "FILE, a name and a colour a line.")

    def settings(self, source: Source) -> dict:
        detector = file_mark(Path(self.way)) if callable(self.detector) else self.way
        return {"from": detector, "classes": list(map(str, self.classes)), **self.detection, **self.sampling}

    def do(self, task: Task, net, journal: Journal, outcome: Outcome, advance: Callable[[], None]) -> None:
        picture = open_picture(task.source.path)
        condition = self._condition(net, picture.image, task.source.path)
        for made in translate(net, condition, task.parts, **self.sampling) if task.parts else ():
            name = self._output(task.source, made.seed)
            save_picture(self.results.folder / name, made.image)
            journal.add(name, {**task.settings, "seed": made.seed})
            outcome.made += 1
            advance()
        if self.results.sheet:
            name, settings = self._sheet(task.source, task.settings)
            finished = [self.results.folder / self._output(task.source, seed) for seed in self.seeds]
            shown = [picture.image, *(open_picture(path).image for path in finished if path.is_file())]
            save_picture(self.results.folder / name, sheet([tile(_square(one)) for one in shown]))
            journal.add(name, settings)

    def _condition(self, net, image: Tensor, path: Path) -> conditions.Condition:
        if self.way == "drawing":
            return conditions.from_drawing(image)
        if self.way == "colours":
            return conditions.from_labels(labels.from_palette(image, self.classes, str(path)), self.classes)
        if self.way == "numbers":
            if image.shape[1] != 1:
                raise CoModError(f"{path}: is no grey picture, so its values are no numbers: give --from colours.")
            return conditions.from_labels(labels.from_numbers(image, self.classes, str(path)), self.classes)
        return conditions.from_photo(image, self.detector, net.resolution, **self.detection)


def _square(image: Tensor) -> Tensor:
    """A picture in the middle of a white square, as conditions are fitted: RGB [1,3,S,S]."""
    if image.shape[1] == 4:
        alpha = (image[:, 3:] + 1) / 2
        image = image[:, :3] * alpha + (1 - alpha)
    height, width = image.shape[-2:]
    side = max(height, width)
    square = torch.ones(1, 3, side, side)
    top, left = (side - height) // 2, (side - width) // 2
    square[..., top:top + height, left:left + width] = image
    return square
