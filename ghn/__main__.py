"""`python -m ghn`, which is how `torchrun -m ghn` starts the command."""

from ghn.cli import program

if __name__ == "__main__":
    program()
