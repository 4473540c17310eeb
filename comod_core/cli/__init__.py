"""The command line `comod`. One file a command; each adds itself to the app in `register`.

Nothing heavy is imported here: torch and the core load inside the commands, so that help is quick.
"""
from __future__ import annotations

import sys

import typer

from ..errors import CoModError
from . import bench, bias, complete, convert, dataset, edit, evaluate, export, info, instance, models, train, translate
from .report import complain

app = typer.Typer(name="comod", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  context_settings={"help_option_names": ["-h", "--help"]},
                  help="Complete large missing regions of images with co-modulated GANs, and edit images "
                       "through style maps.")
for _command in (complete, edit, instance, translate, train, dataset, evaluate, bias, bench, convert, export, models,
                 info):
    _command.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        typer.echo(f"comod {__version__}")
        raise typer.Exit


@app.callback()
def _options(debug: bool = typer.Option(False, "--debug", help="Show the full traceback of an error."),
             version: bool = typer.Option(False, "--version", callback=_version, is_eager=True,
                                          help="Show the version and exit.")) -> None:
    pass


def main(argv: list[str] | None = None) -> int:
    """Run the command line (argv without the program's name, default sys.argv). Returns the exit code.

    0 all went well, 1 something failed, 2 wrong usage, 130 stopped by Ctrl-C. An error of the pack is one line on
    standard error; with `--debug`, anywhere on the line, it is a traceback.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    if debug:
        arguments = ["--debug", *(argument for argument in arguments if argument != "--debug")]
    try:
        app(arguments)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except (CoModError, OSError) as error:
        if debug:
            raise
        complain(error)
        return 1
    return 0
