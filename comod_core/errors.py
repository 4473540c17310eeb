"""The one error type that the pack raises for bad input."""


class CoModError(ValueError):
    """Bad input or a file that cannot be used. The text says what is wrong, where, and what to do about it."""
