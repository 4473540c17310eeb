"""Seeds as they are written on a command line."""
from __future__ import annotations

import re

from ..errors import CoModError

MOST = 1_000_000


def parse_seeds(text: str, option: str = "--seeds") -> list[int]:
    """Seeds from text such as "7,8-11": each once, in the order written, each from 0 to 2^64 - 1.

    option: what the text was given for, for the errors. Raises CoModError for anything else, for ranges that run
    backwards, and for more than a million seeds.
    """
    seeds: dict[int, None] = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,20})\s*(?:-\s*(\d{1,20})\s*)?", part, re.ASCII)
        if not match:
            raise CoModError(f"{option} {text!r}: {part.strip()!r} is neither a whole number from 0 on nor a range "
                             f"such as 8-11. Write for example 7,8-11.")
        first, last = int(match[1]), int(match[2] or match[1])
        if last >= 2 ** 64:
            raise CoModError(f"{option} {text!r}: {last} is above 2^64 - 1.")
        if last < first:
            raise CoModError(f"{option} {text!r}: the range {part.strip()} runs backwards.")
        if last - first >= MOST or len(seeds) + last - first >= MOST:
            raise CoModError(f"{option} {text!r}: that is more than {MOST:,} seeds.")
        seeds.update(dict.fromkeys(range(first, last + 1)))
    return list(seeds)
