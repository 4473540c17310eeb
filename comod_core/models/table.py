"""The models that have a name: the built-in one and the published ones. Data only."""
from __future__ import annotations

from dataclasses import dataclass

_NVIDIA = "NVIDIA Source Code License-NC (non-commercial)"
_OFFICIAL = "https://github.com/zsyzzsoft/co-mod-gan"
_STYLEMAP = "https://github.com/naver-ai/StyleMapGAN"


@dataclass(frozen=True)
class ModelEntry:
    """A named model.

    file: name in the model folder, or in this package's own folder where `built_in`. url: where to download the file,
    or None when it has to be fetched by hand from `origin`. sha256 and size (bytes): of the file, or None where they
    are not known. resolution: of the network's pictures, in pixels. layout: "aligned" where all pictures are framed
    alike (see `comod_core.loading.ModelInfo`). architecture: see `comod_core.networks.registry`.
    """

    name: str
    file: str
    url: str | None
    sha256: str | None
    size: int | None
    licence: str
    resolution: int
    description: str
    origin: str = ""
    built_in: bool = False
    layout: str = "free"
    architecture: str = "comodgan"


def _official(name: str, file: str, resolution: int, description: str, layout: str = "free") -> ModelEntry:
    return ModelEntry(name, file, None, None, None, _NVIDIA, resolution, description, _OFFICIAL, layout=layout)


def _style_map(name: str, file: str, resolution: int, description: str) -> ModelEntry:
    return ModelEntry(name, file, None, None, None, "CC BY-NC 4.0 (non-commercial)", resolution, description, _STYLEMAP,
                      layout="aligned", architecture="stylemapgan")


MODELS: tuple[ModelEntry, ...] = (
    ModelEntry("avatars-64", "avatars-64.safetensors", None, None, None, "CC BY 4.0", 64,
               "Completes drawn avatar portraits; comes with the package and needs no download", built_in=True,
               layout="aligned"),
    ModelEntry("avatars-edges-64", "avatars-edges-64.safetensors", None, None, None, "CC BY 4.0", 64,
               "Turns line drawings into avatar portraits", built_in=True, layout="aligned"),
    ModelEntry("avatars-labels-64", "avatars-labels-64.safetensors", None, None, None, "CC BY 4.0", 64,
               "Turns maps of seven parts (skin, hair, eyes and so on) into avatar portraits", built_in=True,
               layout="aligned"),
    ModelEntry("avatars-stylemap-64", "avatars-stylemap-64.safetensors", None, None, None, "CC BY 4.0", 64,
               "Edits drawn avatar portraits through style maps", built_in=True, layout="aligned",
               architecture="stylemapgan"),
    ModelEntry("avatars-instance-64", "avatars-instance-64.safetensors", None, None, None, "CC BY 4.0", 64,
               "Generates drawn avatar portraits in the style of an instance; comes with the package", built_in=True,
               architecture="stylegan2"),
    _official("ffhq-512", "co-mod-gan-ffhq-9-025000.pkl", 512, "Completes faces (FFHQ)", "aligned"),
    _official("ffhq-1024", "co-mod-gan-ffhq-10-025000.pkl", 1024, "Completes faces (FFHQ)", "aligned"),
    _official("places2-512", "co-mod-gan-places2-050000.pkl", 512, "Completes scenes (Places2)"),
    _official("coco-stuff-512", "co-mod-gan-coco-stuff-025000.pkl", 512, "Turns label maps into photos (COCO-Stuff)"),
    _official("edges2shoes-256", "co-mod-gan-edges2shoes-025000.pkl", 256, "Turns line drawings into shoes"),
    _official("edges2handbags-256", "co-mod-gan-edges2handbags-025000.pkl", 256, "Turns line drawings into handbags"),
    _style_map("stylemap-celeba-hq-256", "celeba_hq_256_8x8.pt", 256, "Edits faces through style maps (CelebA-HQ)"),
    _style_map("stylemap-afhq-256", "afhq_256_8x8.pt", 256, "Edits animal faces through style maps (AFHQ)"),
    _style_map("stylemap-ffhq-1024", "ffhq_1024_16x16.pt", 1024, "Edits faces through style maps (FFHQ)"),
)
"""Every model that `load_model` knows by name."""
