"""`comod edit`: edit pictures through style maps. One command an operation."""
from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_type_hints

import typer

from ..errors import CoModError
from . import edit_parts as parts
from . import options
from .edit_examples import learn, sample
from .report import out, paragraphs, printable


def register(app: typer.Typer) -> None:
    """Add the commands to the app, below `edit`."""
    group = typer.Typer(name="edit", no_args_is_help=True, help="Edit real pictures through style maps (StyleMapGAN).")
    for command in (blend, transplant, mix, interpolate, move, reconstruct, learn, sample):
        group.command(command.__name__, no_args_is_help=True, help=paragraphs(command))(command)
    app.add_typer(group)


@dataclasses.dataclass
class Common:
    """The options that every command has."""

    model: options.StyleModel = None
    device: options.Device = None
    dtype: options.DType = None
    strategy: options.StyleStrategy = "whole"
    box: options.Square = None
    context: options.Context = 0.5
    feather: options.StyleFeather = None
    color_match: options.ColorMatch = True
    seamless: options.Seamless = True
    refine: options.Refine = 0
    folder: options.Out = Path("out")
    overwrite: options.Overwrite = False


@dataclasses.dataclass
class Framing:
    """Options of the commands that have a reference."""

    reference_strategy: options.ReferenceStrategy = None
    reference_box: options.ReferenceSquare = None


def _with(*groups: type) -> Callable:
    """Give a command the fields of these dataclasses as options; it gets one value a class, after its own options."""

    def decorate(command: Callable) -> Callable:
        parameters = list(inspect.signature(command, eval_str=True).parameters.values())
        names = [parameter.name for parameter in parameters[-len(groups):]]
        del parameters[-len(groups):]
        for group in groups:
            hints = get_type_hints(group, include_extras=True)
            parameters += [inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default,
                                             annotation=hints[field.name]) for field in dataclasses.fields(group)]

        @functools.wraps(command)
        def run(**values):
            shared = [group(**{field.name: values.pop(field.name) for field in dataclasses.fields(group)})
                      for group in groups]
            return command(**values, **dict(zip(names, shared, strict=True)))

        run.__signature__ = inspect.Signature(parameters)
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate


@_with(Framing, Common)
def blend(command: typer.Context, source: options.Source, reference: options.Reference, mask: options.Region,
          space: options.Space = "w+", strength: options.Strength = 1.0, format: options.Format = "png",
          framing: Framing = None, common: Common = None) -> None:
    """Put what the reference has at the same place under the mask into a picture, or into each picture of a folder.

    The parts need to lie at the same place in both: aligned faces do. Pixels outside of mask and soft edge stay exactly
    as they are. Results are called NAME_blend. A folder that was left unfinished goes on where it stopped.
    """
    _run(command, source, "blend", {"space": space, "strength": strength}, common, format, framing,
         references=[reference], masks=[mask])


@_with(Framing, Common)
def transplant(command: typer.Context, source: options.Source, reference: options.References, mask: options.Parts,
               shift: options.Shifts = None, strength: options.Strength = 1.0, format: options.Format = "png",
               framing: Framing = None, common: Common = None) -> None:
    """Put parts of references at places of your choice; nothing needs to be aligned.

    Give --reference, --mask and --shift once for each part; later parts cover earlier ones. Results are called
    NAME_transplant.
    """
    shifts = [options.numbers("--shift", text, float, 2) for text in shift or ["0,0"] * len(reference)]
    if not len(reference) == len(mask) == len(shifts):
        raise CoModError(f"{len(reference)} --reference, {len(mask)} --mask and {len(shifts)} --shift: give as many of "
                         "each, or no --shift.")
    _run(command, source, "transplant", {"strength": strength, "shifts": shifts}, common, format, framing,
         references=reference, masks=mask)


@_with(Framing, Common)
def mix(command: typer.Context, source: options.Source, reference: options.Reference, part: options.Part = "fine",
        levels: options.Levels = 2, mask: options.PerhapsRegion = None, format: options.Format = "png",
        framing: Framing = None, common: Common = None) -> None:
    """Mix styles: the picture with the fine look of the reference (colours), or with its coarse one (layout).

    Results are called NAME_mix.
    """
    _run(command, source, "mix", {"part": part, "count": levels}, common, format, framing, references=[reference],
         masks=[mask] if mask else [])


@_with(Framing, Common)
def interpolate(command: typer.Context, source: options.Source, reference: options.Reference,
                mask: options.PerhapsRegion = None, space: options.Space = "w+", frames: options.Frames = 24,
                fps: options.Rate = 12.0, back: options.Back = False, side: options.Side = None,
                format: options.Film = "gif", framing: Framing = None, common: Common = None) -> None:
    """Make an animation of the way from a picture to the reference, or with a mask to what blend makes of the two.

    Results are called NAME_interpolate; as png, NAME_interpolate/001.png and so on.
    """
    if format == "png" and (back or side):
        raise CoModError("--back and --side are for an animation in one file: choose gif, webp or mp4.")
    film = {"frames": frames, "fps": fps, "back": back, "side": side}
    _run(command, source, "interpolate", {"space": space}, common, format, framing, references=[reference],
         masks=[mask] if mask else [], film=film)


@_with(Common)
def move(command: typer.Context, source: options.Source, direction: options.Way, strength: options.Far = 1.0,
         mask: options.PerhapsRegion = None, format: options.Format = "png", common: Common = None) -> None:
    """Move pictures along a direction that `comod edit learn` made of examples: everywhere, or under a mask.

    Results are called NAME_move.
    """
    _run(command, source, "move", {"strength": strength}, common, format, None, masks=[mask] if mask else [],
         direction=direction)


@_with(Common)
def reconstruct(command: typer.Context, source: options.Source, mask: options.PerhapsRegion = None,
                format: options.Format = "png", common: Common = None) -> None:
    """Show what the model makes of a picture unedited: the limit of what its edits can look like.

    Results are called NAME_reconstruct.
    """
    _run(command, source, "reconstruct", {}, common, format, None, masks=[mask] if mask else [])


def _run(command: typer.Context, source: Path, name: str, keywords: dict, common: Common, format: str,
         framing: Framing | None, references: Sequence[Path] = (), masks: Sequence[Path] = (),
         film: dict | None = None, direction: Path | None = None) -> None:
    model = common.model or parts.default_model()
    boxes = [text and tuple(options.numbers(option, text, int, 3)) for option, text in
             (("--box", common.box), ("--reference-box", framing and framing.reference_box))]
    from .edits import EditRun, Film, Operation, framed
    from .runs import Results

    fit = {"context": common.context, "feather": common.feather, "color_match": common.color_match,
           "seamless": common.seamless, "refine": common.refine}
    own = None
    if framing and (framing.reference_strategy or boxes[1]):
        own = framed(framing.reference_strategy or "whole", boxes[1], refine=common.refine)
    operation = Operation(name, keywords, framed(common.strategy, boxes[0], **fit), own, references, masks,
                          direction)
    run = EditRun(source, operation, Results(common.folder, format, overwrite=common.overwrite),
                  Film(**film) if film else None)
    outcome = run.run(model, common.device, common.dtype, debug=command.find_root().params["debug"])
    out().print(printable(outcome.summary()), markup=False)
    raise typer.Exit(outcome.code)
