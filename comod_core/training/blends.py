"""Edits to learn from: which part of one picture comes from another, and what the result should look like.

An addition to StyleMapGAN's published training, which sees whole pictures alone. A blend is either an area of random
shape, or a whole interpolation, or, where part labels lie beside the pictures, a part such as the hair.
"""
from __future__ import annotations

import dataclasses

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import CoModError
from .data import Pictures

DRAWS = 9           # random numbers that one blend takes
MIXED = 0.2         # share of whole interpolations among the blends that are not of parts
INSIDE = 0.3        # weight of the reference's pixels inside a shape without labels: its colours may adapt
MOST = 40.0         # times the average that a pixel of a small part counts at most
TOUCHED = 0.7       # share of a part below which it takes the source's colour in a shape
MARGIN = 2          # pixels inside the border of a random shape that are left to the discriminator
GROW = 3            # most pixels, from 1, by which the mask of a part is larger than the part: brushes are broad
SMALL = 0.15        # share of the picture up to which the box around a part stands for a broad brush
FLAT = 0.15         # standard deviation in [-1,1] below which a part counts as of one colour


@dataclasses.dataclass
class Blend:
    """mask [N,1,R,R] in [0,1]: share of the reference. target [N,C,R,R]: the picture wanted where `known` [N,1,R,R] in
    [0,1] says so."""

    mask: Tensor
    target: Tensor
    known: Tensor

    def where(self, rows: Tensor, other: Blend) -> Blend:
        """These rows (bool [N]) of this one, the rest of another."""
        rows = rows.view(-1, 1, 1, 1)
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Blend(*(torch.where(rows, own, its) for own, its in pairs))

    def begun(self, other: Blend) -> Blend:
        """The rows of another one, then the rest of this one's."""
        pairs = zip(vars(other).values(), vars(self).values(), strict=True)
        return Blend(*(torch.cat([first.to(own.dtype), own[len(first):]]) for first, own in pairs))


def blends(source: Tensor, reference: Tensor, u: Tensor, cell: int, *, labels: tuple[Tensor, Tensor] | None = None,
           parts: int = 0, share: float = 0.0) -> Blend:
    """One blend a row. source, reference [N,C,R,R] in [-1,1]; u [N,DRAWS] in [0,1); cell: pixels of a style map's cell.

    labels: of source and reference, [N,R,R], 0 background, 1 to `parts`; share: of blends that are of parts.
    """
    mask, whole_rows = superellipses(u[:, :6], source.shape[-1]), u[:, 7] < MIXED
    if labels is None or not parts:
        return whole(source, u[:, 6]).where(whole_rows, of_shapes(source, reference, mask, cell, INSIDE))
    changed, sure = adapted(source, reference, *labels, mask, parts)
    found = of_shapes(source, changed, mask, cell)
    found.known = found.known * torch.where(mask > 0, sure, 1)
    wanted = (u[:, 0] * parts).long() + 1
    swapped = of_parts(source, reference, *labels, wanted, 1 + (u[:, 1] * GROW).long(), parts)
    return swapped.where(u[:, 8] < share, whole(source, u[:, 6]).where(whole_rows, found))


def superellipses(u: Tensor, resolution: int) -> Tensor:
    """Ellipses, or nearly boxes, with a centre anywhere and radii of 0.1 to 0.5 of the side: [N,1,R,R]."""
    x, y, rx, ry, kind = (column.view(-1, 1, 1, 1) for column in u[:, :5].unbind(dim=1))
    at = (torch.arange(resolution, device=u.device, dtype=u.dtype) + 0.5) / resolution
    across, down = (at - x) / (0.1 + 0.4 * rx), (at.view(-1, 1) - y) / (0.1 + 0.4 * ry)
    power = torch.where(kind < 0.5, 2.0, 8.0)
    return (across.abs() ** power + down.abs() ** power < 1).to(u.dtype)


def of_shapes(source: Tensor, reference: Tensor, mask: Tensor, cell: int, inside: float = 1.0) -> Blend:
    """The reference under the mask. Known is what lies a cell outside of it, and by `inside` what lies well inside."""
    outside = 1 - F.max_pool2d(mask, 2 * cell + 1, 1, cell)
    within = -F.max_pool2d(-mask, 2 * MARGIN + 1, 1, MARGIN)
    return Blend(mask, torch.lerp(source, reference, mask), outside + inside * within)


def whole(source: Tensor, t: Tensor) -> Blend:
    """A mixture of both pictures, t [N] of the reference: what it looks like is up to the discriminator."""
    mask = t.view(-1, 1, 1, 1).expand(-1, 1, *source.shape[2:])
    return Blend(mask, source, torch.zeros_like(mask))


def of_parts(source: Tensor, reference: Tensor, own: Tensor, its: Tensor, part: Tensor, grow: Tensor,
             parts: int) -> Blend:
    """The reference's part in place of the source's: part [N] labels, grow [N] pixels that the mask is larger by.

    Wanted are the reference's part, the source around it, and where the source's part gives way the colour that the
    source has for what the reference shows there (skin, background), if that is of one colour. own, its [N,R,R]: labels
    of source and reference, 0 to `parts`.
    """
    here, taken = (labels.eq(part.view(-1, 1, 1)).unsqueeze(1) for labels in (own, its))
    mask = _grown((here | taken).to(source.dtype), grow)
    colour, flat = _colours(source, own.long(), its.long(), parts)
    here = F.max_pool2d(here.to(source.dtype), 3, 1, 1) > 0      # its edges are mixed with its colour
    target = torch.where(taken, reference, torch.where(here, colour, source))
    known = taken | torch.where(here, flat, (mask < 0.5) | own.eq(its).unsqueeze(1))
    return Blend(mask, target, known.to(source.dtype))


def known_edits(edited: Tensor, own: Tensor, its: Tensor, part: Tensor, u: Tensor) -> Blend:
    """Blends whose outcome is known in every pixel: edited [n,C,R,R], the first n pictures with their references' part.

    part [n]: its label; own, its [N,R,R]: labels of pictures and references; u [N,DRAWS] in [0,1). The mask is of the
    part in either, 1 to GROW pixels larger; of a part that is small, every second one is the box around it, as a broad
    brush paints: what else of the reference lies in it shall stay behind.
    """
    count = len(edited)
    part = part.view(-1, 1, 1).to(own.device)
    mask = (own[:count].eq(part) | its[:count].eq(part)).unsqueeze(1).to(edited.dtype)
    box = _boxes(mask)
    broad = (box.mean(dim=(1, 2, 3)) < SMALL) & (u[:count, 2] < 0.5)
    mask = _grown(torch.where(broad.view(-1, 1, 1, 1), box, mask), 1 + (u[:count, 1] * GROW).long())
    return Blend(mask, edited, torch.ones_like(mask))


def _grown(mask: Tensor, grow: Tensor) -> Tensor:
    """Masks [N,1,R,R] larger by `grow` [N] pixels, GROW at most."""
    for i in range(GROW):
        mask = torch.where(grow.view(-1, 1, 1, 1) > i, F.max_pool2d(mask, 3, 1, 1), mask)
    return mask


def _boxes(mask: Tensor) -> Tensor:
    """The box around what is set, [N,1,R,R]."""
    def between(line: Tensor) -> Tensor:
        return line.cummax(dim=-1).values * line.flip(-1).cummax(dim=-1).values.flip(-1)

    return between(mask.amax(dim=2, keepdim=True)) * between(mask.amax(dim=3).unsqueeze(2)).transpose(2, 3)


def check_edits(pictures: Pictures) -> None:
    """Raises CoModError where edits.npy or edited.npy does not fit the pictures."""
    images, edits, edited = pictures.images, pictures.beside["edits"], pictures.beside["edited"]
    if edited.shape != images.shape or edited.dtype != np.uint8:
        raise CoModError(f"Training: edited.npy is {edited.dtype} {list(edited.shape)}; for these pictures it must be "
                         f"uint8 {list(images.shape)}.")
    if edits.ndim != 2 or edits.shape[1] != 2 or edits.dtype.kind not in "iu":
        raise CoModError(f"Training: edits.npy is {edits.dtype} {list(edits.shape)}; it must hold two whole numbers a "
                         "picture, the reference's row and the label of the part.")
    if not 0 <= edits[:, 0].min() <= edits[:, 0].max() < len(images):
        raise CoModError(f"Training: edits.npy names references outside of the {len(images)} pictures.")


def adapted(source: Tensor, reference: Tensor, own: Tensor, its: Tensor, mask: Tensor,
            parts: int) -> tuple[Tensor, Tensor]:
    """The reference with the colours of the source where a mask touches a part of it and takes less than TOUCHED.

    So a brush over the eyes takes the eyes, and the skin around them in the colour of the source's skin. Only parts of
    one colour in the source are changed, by the difference of the mean colours. Also returns, [N,1,R,R], where that is
    sure: not at the edges of such parts, whose pixels are mixed.
    """
    own, its = own.long(), its.long()
    one_hot = _one_hot(its, parts, source.dtype)
    taken = (one_hot * mask.flatten(2)).sum(dim=2) / one_hot.sum(dim=2).clamp_min(1)
    touched = (taken < TOUCHED).gather(1, its.flatten(1)).view_as(mask)
    colour, flat = _colours(source, own, its, parts)
    mean, _ = _colours(reference, its, its, parts)
    shades = its.unsqueeze(1).to(mask.dtype)
    edge = F.max_pool2d(shades, 3, 1, 1) != -F.max_pool2d(-shades, 3, 1, 1)
    changed = torch.where(touched & flat, (reference + colour - mean).clamp(-1, 1), reference)
    return changed, 1 - (F.max_pool2d((touched & flat).to(mask.dtype), 3, 1, 1) * edge)


def balanced(labels: Tensor, parts: int) -> Tensor:
    """Weights of pixels by which every part in a picture counts alike, 1 on average: [N,R,R] -> [N,1,R,R].

    No pixel counts more than MOST times the average before they are scaled to it.
    """
    one_hot = _one_hot(labels.long(), parts, torch.float32)
    count = one_hot.sum(dim=2)
    each = labels[0].numel() / (count.clamp_min(1) * (count > 0).sum(dim=1, keepdim=True))
    weight = each.clamp_max(MOST).gather(1, labels.long().flatten(1))
    return (weight / weight.mean(dim=1, keepdim=True)).view(len(labels), 1, *labels.shape[1:])


def _one_hot(labels: Tensor, parts: int, dtype: torch.dtype) -> Tensor:
    """[N,R,R] -> [N,K,R*R]."""
    classes = torch.arange(parts + 1, device=labels.device).view(1, -1, 1, 1)
    return labels.unsqueeze(1).eq(classes).flatten(2).to(dtype)


def _colours(source: Tensor, own: Tensor, its: Tensor, parts: int) -> tuple[Tensor, Tensor]:
    """What the source has for the other's labels: mean colours [N,C,R,R], and where that part of it is flat."""
    one_hot = _one_hot(own, parts, source.dtype)
    count = one_hot.sum(dim=2).clamp_min(1)
    pixels = source.flatten(2)
    mean = torch.einsum("nkp,ncp->nkc", one_hot, pixels) / count.unsqueeze(2)
    square = torch.einsum("nkp,ncp->nkc", one_hot, pixels.square()) / count.unsqueeze(2)
    spread = (square - mean.square()).clamp_min(0).sqrt().amax(dim=2)
    flat = (spread < FLAT) & (one_hot.sum(dim=2) > 0)
    index = its.flatten(1)
    colour = mean.gather(1, index.unsqueeze(2).expand(-1, -1, mean.shape[2]))
    return colour.transpose(1, 2).reshape(source.shape), flat.gather(1, index).view(len(source), 1, *source.shape[2:])
