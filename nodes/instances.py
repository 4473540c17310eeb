"""Nodes that generate pictures, in the look of an instance or, with a plain network, of nothing but a seed."""
from __future__ import annotations

import functools
from pathlib import Path

import torch

from ..comod_core.errors import CoModError
from ..comod_core.instances import extractors, generation, neighbours, stored
from ..comod_core.metrics.networks import FeatureNetwork
from . import inputs
from ._api import io
from .host import host
from .layout import images_in, images_out
from .sockets import Instance, InstanceFeatures, Model, seeds_from

CATEGORY = "CoMod/instance"
FOLDER = "instances"
SUFFIXES = (".safetensors", ".npy")
EXTRACTORS = [*extractors.BUILT_IN, *(weights.name for weights in extractors.WEIGHTS)]
AUTOMATIC, NO_FILE = "automatic", "none"
MAX_DRAWS = 4096


def model_input():
    return Model.Input("model", tooltip="A BigGAN or StyleGAN2 from CoMod Load Model.")


def instance_input(name: str = "instance", tooltip: str = "The look to generate in, from CoMod Instance Encode or "
                                                          "CoMod Instance Neighbours.", optional: bool = False):
    return Instance.Input(name, tooltip=tooltip, optional=optional)


def label_input():
    return io.Int.Input("label", default=-1, min=-1, max=100_000,
                        tooltip="Class to generate, for networks that have classes; 207 is ImageNet's golden "
                                "retriever, say. -1 for networks without.")


def psi_input():
    return io.Float.Input("psi", default=1.0, min=0.0, max=2.0, step=0.05, display_mode=io.NumberDisplay.slider,
                          tooltip="Variety: 1 is what the model learnt, lower values are safer and more alike. "
                                  "Truncation of a StyleGAN2, the spread of z of a BigGAN.")


def stored_input():
    names = list(instance_files()) or [NO_FILE]
    return io.Combo.Input("instances", options=names, default=names[0],
                          tooltip="A file of features in models/comod/instances: CoMod's .safetensors, or IC-GAN's "
                                  "instance_features.npy. Press R to refresh the list.")


class InstanceEncode(io.ComfyNode):
    """Picture -> instance feature."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CoModInstanceEncode",
            display_name="CoMod Instance Encode",
            category=CATEGORY,
            description="Turns a picture into its instance feature: what it shows and how it looks, as a row of "
                        "numbers. Use the extractor that the model was trained with.",
            inputs=[
                io.Image.Input("image", tooltip="The picture, of any size; its middle square is looked at. A batch "
                                                "gives one feature a picture."),
                io.Combo.Input("extractor", options=EXTRACTORS, default=EXTRACTORS[0],
                               tooltip="lite0-colours: for the built-in model and others trained with CoMod. lite0: "
                                       "the same without colours. swav: IC-GAN's models without classes. "
                                       "supervised: IC-GAN's models with classes. The last two need torchvision and a "
                                       "file of weights; without it the node says where to get it."),
            ],
            outputs=[Instance.Output("encoded", display_name="instance", tooltip="One feature a picture.")],
        )

    @classmethod
    def execute(cls, image, extractor=EXTRACTORS[0]):
        with torch.inference_mode(False):  # weights made in inference mode stay so, and this network is kept
            network = feature_network(extractor)
        features = extractors.encode(network, images_in(image))
        return io.NodeOutput(InstanceFeatures(features, network.name.lower(), network.digest))


class InstanceCondition(io.ComfyNode):
    """Instance and seeds -> pictures."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CoModInstanceCondition",
            display_name="CoMod Instance-Condition",
            category=CATEGORY,
            description="Generates new pictures in the look of an instance, one a seed. With a plain StyleGAN2, which "
                        "takes no instance, it generates from the seeds alone.",
            inputs=[
                model_input(),
                inputs.seed(),
                io.Int.Input("count", default=4, min=1, max=64, tooltip="Number of pictures of each instance."),
                psi_input(), inputs.noise_mode(), label_input(),
                instance_input(optional=True),
            ],
            outputs=[io.Image.Output("generated", display_name="images",
                                     tooltip="All instances with the first seed, then all with the next.")],
        )

    @classmethod
    def execute(cls, model, seed, count=4, psi=1.0, noise_mode="const", label=-1, instance=None):
        network = generator(model)
        rows = 1 if instance is None else len(instance.features)
        seeds = [one for one in seeds_from(seed, count) for _ in range(rows)]
        features = None if instance is None else instance.features.repeat(count, 1)
        samples = generation.generate(network, seeds, features, class_of(label), psi=psi, noise_mode=noise_mode,
                                      progress=host.progress())
        return io.NodeOutput(as_images(samples))


class InstanceInterpolate(io.ComfyNode):
    """Two instances -> pictures on the way between."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CoModInstanceInterpolate",
            display_name="CoMod Instance Interpolate",
            category=CATEGORY,
            description="Pictures on the way from the look of one instance to that of another, of one seed, or from "
                        "one seed to another as well. Save them with Save Animated WEBP, or make a video.",
            inputs=[
                model_input(),
                inputs.seed(),
                io.Int.Input("end_seed", default=-1, min=-1, max=2 ** 63 - 1,
                             tooltip="Seed at the end of the way; -1 keeps the first, so that only the look changes."),
                io.Int.Input("frames", default=16, min=2, max=512, tooltip="Number of pictures, both ends included."),
                psi_input(), inputs.noise_mode(), label_input(),
                instance_input(tooltip="Where the way begins; of several the first.", optional=True),
                instance_input("target", "Where it ends; of several the first.", optional=True),
                io.Int.Input("end_label", default=-1, min=-1, max=100_000, optional=True,
                             tooltip="Class at the end of the way, for networks that have classes; -1 keeps the "
                                     "first."),
            ],
            outputs=[io.Image.Output("between", display_name="images", tooltip="The pictures in order.")],
        )

    @classmethod
    def execute(cls, model, seed, end_seed=-1, frames=16, psi=1.0, noise_mode="const", label=-1, instance=None,
                target=None, end_label=-1):
        network, labels = generator(model), (class_of(label), class_of(label if end_label < 0 else end_label))
        ends = tuple(None if one is None else one.features[0] for one in (instance, target))
        samples = generation.interpolate(network, frames, ends, (seed, seed if end_seed < 0 else end_seed),
                                         labels, psi=psi, noise_mode=noise_mode, progress=host.progress())
        return io.NodeOutput(as_images(samples))


class InstanceNeighbours(io.ComfyNode):
    """Instance -> stored instances that are alike."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CoModInstanceNeighbours",
            display_name="CoMod Instance Neighbours",
            category=CATEGORY,
            description="The stored instances that are nearest to an instance: to see what the model takes for alike, "
                        "or to generate from pictures that it was trained on.",
            inputs=[
                stored_input(),
                io.Int.Input("count", default=5, min=1, max=1024, tooltip="Number of neighbours of each instance."),
                instance_input(tooltip="The instance whose neighbours are looked for."),
            ],
            outputs=[
                Instance.Output("found", display_name="neighbours",
                                tooltip="The neighbours' features, the nearest first."),
                io.String.Output("list", display_name="list",
                                 tooltip="Similarity (1 is the same), number and name of each neighbour, a line each."),
            ],
        )

    @classmethod
    def validate_inputs(cls, instances):
        return True if instances in instance_files() else missing_file(instances)

    @classmethod
    def execute(cls, instances, count, instance):
        many = opened(instances)
        if instance.extractor and many.extractor and instance.extractor != many.extractor:
            raise CoModError(f"{instances} holds features of {many.extractor}, the instance is of "
                             f"{instance.extractor}: encode it with the same extractor.")
        likeness, at = neighbours.exact(many, instance.features, count, progress=host.progress())
        lines = [f"{cosine:.3f} {i} {many.names[i]}" for cosine, i in zip(likeness.flat, at.flat, strict=True)]
        features = torch.stack([many.feature(int(i)) for i in at.flat])
        return io.NodeOutput(InstanceFeatures(features, many.extractor or instance.extractor, many.digest),
                             "\n".join(lines))


class InstanceStored(io.ComfyNode):
    """A file of instances and a number -> that instance."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CoModInstanceStored",
            display_name="CoMod Stored Instance",
            category=CATEGORY,
            description="Takes instances from a file by their number: to generate in the look of pictures that the "
                        "model was trained on, without having them.",
            inputs=[
                stored_input(),
                io.Int.Input("number", default=0, min=0, max=2 ** 31 - 1,
                             tooltip="Number of the first instance in the file, from 0, as CoMod Instance Neighbours "
                                     "lists them."),
                io.Int.Input("count", default=1, min=1, max=1024, tooltip="Number of instances, this one and those "
                                                                         "that follow it."),
            ],
            outputs=[
                Instance.Output("stored", display_name="instance", tooltip="The instances' features."),
                io.String.Output("list", display_name="list", tooltip="Number and name of each, a line each."),
            ],
        )

    @classmethod
    def validate_inputs(cls, instances):
        return True if instances in instance_files() else missing_file(instances)

    @classmethod
    def execute(cls, instances, number, count=1):
        many = opened(instances)
        numbers = range(number, min(number + count, len(many)))
        if not numbers:
            raise CoModError(f"{instances} has {len(many)} instances: give a number from 0 to {len(many) - 1}.")
        return io.NodeOutput(InstanceFeatures(torch.stack([many.feature(i) for i in numbers]), many.extractor,
                                              many.digest), "\n".join(f"{i} {many.names[i]}" for i in numbers))


class InstanceRank(io.ComfyNode):
    """Instance and many seeds -> the pictures nearest to the instance."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CoModInstanceRank",
            display_name="CoMod Instance Rank",
            category=CATEGORY,
            description="Generates more pictures than are wanted and keeps those that look most like the instance, by "
                        "the distance of their features.",
            inputs=[
                model_input(),
                instance_input(),
                inputs.seed(),
                io.Int.Input("draws", default=40, min=1, max=MAX_DRAWS, tooltip="Number of pictures to draw."),
                io.Int.Input("keep", default=4, min=1, max=64, tooltip="Number of pictures to keep, the nearest."),
                psi_input(), inputs.noise_mode(), label_input(),
                io.Combo.Input("extractor", options=[AUTOMATIC, *EXTRACTORS], default=AUTOMATIC,
                               tooltip="What distances are measured with. automatic: what the instance was encoded "
                                       "with."),
            ],
            outputs=[
                io.Image.Output("ranked", display_name="images", tooltip="The pictures, the nearest first."),
                io.String.Output("list", display_name="list",
                                 tooltip="Distance (0 is the same) and seed of each picture, a line each."),
            ],
        )

    @classmethod
    def execute(cls, model, instance, seed, draws=40, keep=4, psi=1.0, noise_mode="const", label=-1,
                extractor=AUTOMATIC):
        network, spec = generator(model), instance.extractor if extractor == AUTOMATIC else extractor
        if spec not in EXTRACTORS:
            raise CoModError("CoMod Instance Rank: it is not known what this instance was encoded with. Choose the "
                             "extractor instead of automatic.")
        if len(instance.features) != 1:
            raise CoModError(f"CoMod Instance Rank: {len(instance.features)} instances; connect one.")
        with torch.inference_mode(False):
            measure = feature_network(spec)
        best = generation.rank(network, seeds_from(seed, draws), instance.features[0], measure, keep, class_of(label),
                               psi=psi, noise_mode=noise_mode, progress=host.progress())
        return io.NodeOutput(as_images(best), "\n".join(f"{one.distance:.3f} {one.seed}" for one in best))


def generator(model) -> torch.nn.Module:
    """The BigGAN or StyleGAN2 of a socket, on its device. Raises CoModError for another kind of network."""
    network = host.acquire(model)
    generation.check_generator(network)
    return network


def class_of(label: int) -> int | None:
    """The class that the widget asks for; None for -1."""
    return None if label < 0 else label


def as_images(samples) -> torch.Tensor:
    """Samples as one IMAGE."""
    return images_out(torch.cat([sample.image for sample in samples])).to(host.intermediate_device())


@functools.lru_cache(maxsize=2)
def feature_network(spec: str) -> FeatureNetwork:
    """The extractor of that name, kept for the next run."""
    return extractors.load_extractor(spec)


def instance_files() -> dict[str, Path]:
    """Built-in files of stored instances, and those in the folder `instances` of the model folders: name -> path."""
    found = {path.relative_to(folder / FOLDER).as_posix(): path for folder in reversed(host.model_folders())
             for path in (folder / FOLDER).rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()}
    return stored.built_in() | dict(sorted(found.items()))


def opened(name: str) -> stored.Instances:
    """The instances of a listed file. Raises CoModError for any other name."""
    path = instance_files().get(name)
    if path is None:
        raise CoModError(missing_file(name))
    return stored.open_instances(path)


def missing_file(name: str) -> str:
    return (f"CoMod: there is no file of instances '{name}'. Put it into {host.model_folders()[0] / FOLDER} and press "
            f"R, or choose one of: {', '.join(instance_files()) or 'none so far'}.")
