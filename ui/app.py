#!/usr/bin/env python3
"""Open CoMod's app in the browser: `python ui/app.py`.

The app runs the nodes' own classes, whose imports are relative to the repository root. So this file loads the root as a
package and goes on inside it; `comod_core` exists once in the process, as a part of that package.
"""
from __future__ import annotations

import argparse
import atexit
import importlib
import importlib.util
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
PACK = "comod_pack"


def load_pack(name: str = PACK) -> ModuleType:
    """The repository root as the package `name`; loaded once in a process."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, ROOT / "__init__.py",
                                                      submodule_search_locations=[str(ROOT)])
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def parser() -> argparse.ArgumentParser:
    """The app's command line."""
    arguments = argparse.ArgumentParser(prog="ui/app.py", description="Complete holes in pictures, in the browser.")
    arguments.add_argument("--port", type=int, help="port to listen on (default: the first free one from 7860)")
    arguments.add_argument("--host", default="127.0.0.1",
                           help="address to listen on; 0.0.0.0 lets other machines in (default: this machine only)")
    arguments.add_argument("--share", action="store_true", help="make a public link through Gradio's servers")
    arguments.add_argument("--model", help="model to begin with: a name from the list or a file (default: built in)")
    arguments.add_argument("--no-browser", action="store_true", help="do not open the browser")
    return arguments


def prepare_surroundings() -> None:
    """Keep Gradio off the network, and its files in a folder that goes when the app ends. Before Gradio's import."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    if "GRADIO_TEMP_DIR" not in os.environ:
        folder = tempfile.mkdtemp(prefix="comod-app-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.environ["GRADIO_TEMP_DIR"] = folder


def main(argv: list[str] | None = None) -> int:
    """Run the app until Ctrl-C. Returns the exit code."""
    options = parser().parse_args(argv)
    prepare_surroundings()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))     # so that files go at the end as after Ctrl-C
    load_pack()
    error = importlib.import_module(f"{PACK}.comod_core.errors").CoModError
    try:
        page = importlib.import_module(f"{PACK}.ui.page")
    except ModuleNotFoundError as problem:
        if problem.name != "gradio":
            raise
        print("The app needs Gradio:  pip install 'comod-gan[ui]'  or  python install.py demo", file=sys.stderr)
        return 1
    try:
        page.launch(options.model, host=options.host, port=options.port, share=options.share,
                    browser=not options.no_browser)
    except (error, OSError) as problem:
        print(f"ui/app.py: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
