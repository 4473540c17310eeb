"""The one error type that the pack raises for bad input, and its kind for a full disk."""
import errno


class CoModError(ValueError):
    """Bad input or a file that cannot be used. The text says what is wrong, where, and what to do about it."""


class DiskFullError(CoModError, OSError):
    """There is no room for a file. errno is ENOSPC, so that whoever looks for that finds it."""

    def __init__(self, text: str):
        super().__init__(text)
        self.errno = errno.ENOSPC
