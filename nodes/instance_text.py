"""Node that generates towards a text."""
from __future__ import annotations

import functools
from collections import deque
from pathlib import Path

import torch

from ..comod_core.errors import CoModError
from ..comod_core.instances import text as texts
from ..comod_core.instances.clip import FOLDER, SUFFIXES, WHERE, Clip, load_clip
from . import inputs
from ._api import io
from .host import host
from .instances import CATEGORY, NO_FILE, class_of, generator, instance_input, label_input, model_input, psi_input
from .layout import images_out
from .sockets import Instance, InstanceFeatures


class InstanceText(io.ComfyNode):
    """Text, seed and perhaps an instance -> the picture that fits the text best."""

    @classmethod
    def define_schema(cls):
        names = list(clip_files()) or [NO_FILE]
        return io.Schema(
            node_id="CoModInstanceText",
            display_name="CoMod Instance Text Guidance",
            category=CATEGORY,
            description="Generates a picture that fits a text: the seed's z and the instance are moved step by step "
                        "until a CLIP finds them alike. Needs open_clip and a file of its weights.",
            inputs=[
                model_input(),
                io.String.Input("text", default="a person with red hair", multiline=True,
                                tooltip="What the picture should show, in English for most CLIPs."),
                io.Combo.Input("clip", options=names, default=names[0],
                               tooltip="A file of open_clip's weights in models/comod/clip whose name begins with the "
                                       "architecture's, such as ViT-B-32.safetensors. Press R to refresh the list."),
                inputs.seed(),
                io.Int.Input("steps", default=100, min=1, max=10_000,
                             tooltip="Steps of the search. Each runs the model and the CLIP forth and back."),
                io.Float.Input("rate", default=0.05, min=0.0, max=1.0, step=0.01,
                               tooltip="How far a step goes. Higher is quicker and coarser."),
                io.Float.Input("stay", default=0.1, min=0.0, max=10.0, step=0.05,
                               tooltip="How much the instance holds the look back. 0 lets it go wherever the text "
                                       "leads, 10 keeps the instance and moves the seed's z alone."),
                io.Int.Input("views", default=4, min=0, max=64,
                             tooltip="Random parts of the picture that the CLIP is shown besides the whole: more are "
                                     "slower and make details that hold from near as well."),
                psi_input(), inputs.noise_mode(), label_input(),
                instance_input(tooltip="The look to begin with, for models that take an instance.", optional=True),
            ],
            outputs=[
                io.Image.Output("guided", display_name="image", tooltip="The picture that fits the text best."),
                Instance.Output("moved", display_name="instance",
                                tooltip="The instance where the search ended, to generate more in its look."),
                io.String.Output("list", display_name="list",
                                 tooltip="Similarity of picture and text before and after, as text."),
            ],
        )

    @classmethod
    def validate_inputs(cls, clip):
        return True if clip in clip_files() else missing_clip(clip)

    @classmethod
    def execute(cls, model, text, clip, seed, steps=100, rate=0.05, stay=0.1, views=4, psi=1.0, noise_mode="const",
                label=-1, instance=None):
        network, path = generator(model), clip_files().get(clip)
        if path is None:
            raise CoModError(missing_clip(clip))
        if instance is not None and len(instance.features) != 1:
            raise CoModError(f"CoMod Instance Text Guidance: {len(instance.features)} instances; connect one.")
        with torch.inference_mode(False):
            judge = text_model(path, path.stat().st_mtime_ns, str(host.load_device()))
        states = texts.guide(network, judge, text, seed, None if instance is None else instance.features[0],
                             class_of(label), steps=steps, rate=rate, stay=stay, views=views, psi=psi,
                             noise_mode=noise_mode, progress=host.progress())
        best = deque(states, maxlen=1).pop()
        moved = None if best.feature is None else InstanceFeatures(best.feature, instance.extractor, instance.digest)
        return io.NodeOutput(images_out(best.image).to(host.intermediate_device()), moved,
                             f"{best.before:.3f} before, {best.similarity:.3f} after {best.steps} steps")


@functools.lru_cache(maxsize=1)
def text_model(path: Path, changed: int, device: str) -> Clip:
    """The CLIP of a file, kept for the next run."""
    return load_clip(path, device=device)


def clip_files() -> dict[str, Path]:
    """Files of a CLIP's weights in the folder `clip` of the model folders: name -> path, sorted."""
    found = {path.relative_to(folder / FOLDER).as_posix(): path for folder in reversed(host.model_folders())
             for path in (folder / FOLDER).rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()}
    return dict(sorted(found.items()))


def missing_clip(name: str) -> str:
    return (f"CoMod: there is no CLIP '{name}'. {WHERE}. Put it into {host.model_folders()[0] / FOLDER} and press R, "
            f"or choose one of: {', '.join(clip_files()) or 'none so far'}.")
