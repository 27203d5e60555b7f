"""`python -m ghn`, which is how `torchrun -m ghn` starts the command."""

import sys

from ghn.cli import main

if __name__ == "__main__":
    sys.exit(main())
