"""What the commands of `comod instance` share: options, and how a model and an instance are found."""
from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import CoModError

Extractor = Annotated[str | None, typer.Option(
    "--extractor", metavar="NAME|FILE", help="lite0-colours, lite0, swav, supervised, or a ResNet-50's weights. It has "
    "to be the one that the model was trained with.")]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="A BigGAN or StyleGAN2: file, folder or name.")]
Image = Annotated[Path | None, typer.Option("--instance", metavar="IMAGE", help="The picture to generate in the look "
                                            "of.")]
StoredOne = Annotated[str | None, typer.Option("--stored", metavar="INSTANCES:NUMBER", help="Instead: a stored "
                                               "instance.")]


def generator(model: str, device: str | None, dtype: str | None):
    """The BigGAN or StyleGAN2 of a name or file, on its device. Raises CoModError for another network."""

    from ..instances.generation import check_generator
    from ..loading import load_model
    from .runs import best_device

    net = load_model(model, best_device(device), dtype)
    check_generator(net)
    return net


def new_file(path: Path, overwrite: bool) -> Path:
    """The path of a result. Raises CoModError where there is a file already that is not to be replaced."""
    if path.exists() and not overwrite:
        raise CoModError(f"{path} exists. Give another --out, or replace it with --overwrite.")
    return path


def feature(image: Path | None, stored: str | None, spec: str, device: str | None):
    """The feature [F] that --instance or --stored names, or None. Raises CoModError for both."""
    if image and stored:
        raise CoModError("--instance and --stored are two ways to say the same: give one.")
    if image:
        from ..images import open_picture

        return encoded(open_picture(image).image, spec, device)
    if not stored:
        return None
    from ..instances.stored import open_instances

    path, _, number = stored.rpartition(":")
    if not path or not number.isdecimal():
        raise CoModError(f"--stored {stored!r}: write the file and the instance's number, such as few.safetensors:12.")
    return open_instances(path).feature(int(number))


def feature_for(net, image: Path | None, stored: str | None, extractor: str | None, device: str | None):
    """The feature [F] for a network, None for one that takes none. Raises CoModError where it is missing."""
    found = feature(image, stored, extractor or net.info.features, device)
    if found is None and net.feature_size:
        raise CoModError("this network generates in the look of an instance: say which with --instance IMAGE or "
                         "--stored INSTANCES:NUMBER.")
    return found


def extractor_of(spec: str, device: str | None):
    """The extractor of that name or file. Raises CoModError for none."""
    if not spec:
        raise CoModError("the file does not say which extractor its features come from: give --extractor.")
    from ..instances.extractors import load_extractor
    from .runs import best_device

    return load_extractor(spec, best_device(device))


def encoded(picture, spec: str, device: str | None):
    """The feature [F] of a picture [1,C,H,W]."""
    from ..instances.extractors import encode

    return encode(extractor_of(spec, device), picture)[0]
