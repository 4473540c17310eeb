"""What the commands of `comod edit` share."""
from __future__ import annotations

from ..errors import CoModError
from ..models.table import MODELS


def default_model() -> str:
    """The built-in StyleMapGAN's name. Raises CoModError when there is none."""
    names = [entry.name for entry in MODELS if entry.architecture == "stylemapgan"]
    built_in = [entry.name for entry in MODELS if entry.architecture == "stylemapgan" and entry.built_in]
    if not built_in:
        raise CoModError("say which StyleMapGAN to use: --model FILE, or a name that is installed "
                         f"({', '.join(names)}; comod models says which are).")
    return built_in[0]
