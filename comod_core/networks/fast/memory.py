"""Memory that is not needed for now: what was mapped from a file, what the allocator keeps."""
from __future__ import annotations

import ctypes
import mmap
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from torch import Tensor

_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r..p \S+ \S+ (\d+)")


def hand_back(tensors: Iterable[Tensor]) -> int:
    """Let go of the pages of tensors that are mapped from a file; they come back from the file when they are read.

    Only mappings no page of which was written to: the values cannot change. The allocator gives its free blocks back,
    too. Returns the bytes of the mappings, 0 where the system (all but Linux) does not say what is mapped.
    """
    if not sys.platform.startswith("linux"):
        return 0
    try:
        starts = sorted(tensor.data_ptr() for tensor in tensors)
        libc, total = ctypes.CDLL(None, use_errno=True), 0
        for low, high in _clean_files():
            if any(low <= start < high for start in starts) and \
                    libc.madvise(ctypes.c_void_p(low), ctypes.c_size_t(high - low), mmap.MADV_DONTNEED) == 0:
                total += high - low
        if hasattr(libc, "malloc_trim"):
            libc.malloc_trim(ctypes.c_size_t(0))
        return total
    except (OSError, AttributeError):
        return 0


def _clean_files() -> Iterator[tuple[int, int]]:
    """Private mappings of files, first and last address, that hold no page of this process's own."""
    found = None
    for line in Path("/proc/self/smaps").read_text().splitlines():
        mapping = _MAPPING.match(line)
        if mapping:
            found = (int(mapping[1], 16), int(mapping[2], 16)) if int(mapping[3]) else None
        elif re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            found = None
        elif line.startswith("Anonymous:") and found:
            if line.split()[1] == "0":
                yield found
            found = None
