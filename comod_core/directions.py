"""Semantic directions: what makes style maps of one kind of picture differ from those of another.

A linear support vector machine separates the flat maps of positive and negative examples; a picture is changed by
moving its map along the normal of the separating plane, everywhere or only under a mask (Kim et al., CVPR 2021; after
Shen et al., "Interpreting the Latent Space of GANs for Semantic Face Editing", CVPR 2020).
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from .errors import CoModError
from .files import atomic_write
from .masks import as_mask

MAX_FOLDS = 5
FORMAT = "comod direction"


@dataclass(frozen=True)
class Direction:
    """vector [C,s,s] float32: unit normal, towards the positives. gap: distance along it between the groups' means.

    accuracy: share of examples that were told right by planes fitted without them (cross-validation), 0.5 is chance;
    None where a group has one example only. model: SHA-256 of the model's file that it was learned with, where known.
    """

    vector: Tensor
    gap: float
    accuracy: float | None = None
    model: str = ""


def learn(positives: Tensor, negatives: Tensor) -> Direction:
    """The direction from the negatives to the positives: style maps [P,C,s,s] and [M,C,s,s].

    The same maps give the same direction, bit for bit on one machine. Needs scikit-learn (extra "metrics").
    Raises CoModError when it is missing, or when the groups are empty, of different models, or the same.
    """
    if positives.ndim != 4 or positives.shape[1:] != negatives.shape[1:] or not len(positives) or not len(negatives):
        raise CoModError(f"a direction is learned from two groups of style maps [N,C,s,s] of one model; these have the "
                         f"shapes {list(positives.shape)} and {list(negatives.shape)}.")
    maps = torch.cat([positives, negatives.to(positives.device)]).flatten(1).double().cpu()
    labels = torch.tensor([1] * len(positives) + [0] * len(negatives))
    normal, accuracy = _separate(maps, labels)
    gap = float((maps[labels == 1].mean(dim=0) - maps[labels == 0].mean(dim=0)) @ normal)
    if not gap > 1e-9:
        raise CoModError("the two groups of examples look the same to the model: there is no direction between them. "
                         "Give examples that differ.")
    return Direction(normal.float().reshape(positives.shape[1:]), gap, accuracy)


def move(style_map: Tensor, direction: Direction, strength: float, mask: Tensor | None = None) -> Tensor:
    """Style maps [N,C,s,s] moved along the direction; 1 is the way from the average negative to the average positive.

    strength: any number, negative ones lead to the negatives. mask [1 or N,1,h,w] in [0,1], 1 = change: max-pooled to
    s x s; None changes everything. Raises CoModError for shapes that do not match.
    """
    if style_map.ndim != 4 or style_map.shape[1:] != direction.vector.shape:
        raise CoModError(f"a direction of shape {list(direction.vector.shape)} does not fit style maps of shape "
                         f"{list(style_map.shape)}: learn it with this model.")
    if not math.isfinite(strength):
        raise CoModError(f"strength is {strength!r}: give a number.")
    step = (direction.vector * (direction.gap * strength)).to(style_map.device, style_map.dtype)
    if mask is None:
        return style_map + step
    return style_map + step * F.adaptive_max_pool2d(as_mask(mask).to(step.device), step.shape[-2:]).to(step.dtype)


def save_direction(path: str | Path, direction: Direction) -> None:
    """Write a direction as safetensors; an existing file is replaced once the new one is whole."""
    facts = {"format": FORMAT, "gap": repr(direction.gap), "accuracy": repr(direction.accuracy),
             "model": direction.model}
    with atomic_write(path) as file:
        file.write(save({"vector": direction.vector.contiguous()}, facts))


def open_direction(path: str | Path) -> Direction:
    """The direction of a file of `save_direction`. Raises CoModError when there is none."""
    try:
        with safe_open(path, framework="pt") as file:
            facts = file.metadata() or {}
            if facts.get("format") != FORMAT:
                raise ValueError("it holds something else")
            accuracy = None if facts["accuracy"] == "None" else float(facts["accuracy"])
            found = Direction(file.get_tensor("vector"), float(facts["gap"]), accuracy, facts["model"])
    except (OSError, SafetensorError, ValueError, KeyError) as problem:
        raise CoModError(f"{path}: no direction ({problem}). comod edit learn makes one.") from problem
    if found.vector.ndim != 3 or not math.isfinite(found.gap) or not found.vector.isfinite().all():
        raise CoModError(f"{path}: no direction (its vector has shape {list(found.vector.shape)}, or is not finite).")
    return found


def _separate(maps: Tensor, labels: Tensor) -> tuple[Tensor, float | None]:
    """Unit normal of the plane between the two labels' maps [N,D], and the accuracy on examples left out."""
    try:
        from sklearn.model_selection import cross_val_score
        from sklearn.svm import SVC
    except ImportError as problem:
        raise CoModError("learning a direction needs scikit-learn: pip install scikit-learn, or the extra comod-gan"
                         "[metrics].") from problem
    x, y = maps.numpy(), labels.numpy()
    normal = torch.from_numpy(SVC(kernel="linear").fit(x, y).coef_[0].copy())
    folds = min(MAX_FOLDS, int(labels.sum()), int((1 - labels).sum()))
    accuracy = float(cross_val_score(SVC(kernel="linear"), x, y, cv=folds).mean()) if folds > 1 else None
    return normal / normal.norm().clamp_min(1e-12), accuracy
