"""`python -m comod_core` is the command `comod`."""
import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
