"""Print the least version that `pyproject.toml` allows of every dependency with a lower bound, as constraints for pip.

python .ci/least.py > least.txt && pip install --editable '.[dev]' --constraint least.txt
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path


def least_versions(requirements: list[str], project: str) -> dict[str, str]:
    """Lower bound by name; the project's own extras (`ghn[vision]`) have none.

    Raises:
        ValueError: a requirement has no lower bound, or is written in a way that is not understood here.
    """
    least: dict[str, str] = {}
    for requirement in requirements:
        if re.fullmatch(rf"{project}\[[\w, ]+\]", requirement):
            continue
        found = re.fullmatch(r"([\w.-]+)(?:\[[\w, ]+\])?\s*>=\s*([\w.]+)", requirement)
        if found is None:
            raise ValueError(f"{requirement!r} is no name with one lower bound (name>=version)")
        name, version = found.groups()
        if least.setdefault(name, version) != version:
            raise ValueError(f"{name} has two lower bounds: {least[name]} and {version}")
    return least


def main() -> None:
    """Print one line a dependency, extras included."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    requirements = [requirement for group in groups for requirement in group]
    sys.stdout.writelines(f"{n}=={v}\n" for n, v in least_versions(requirements, project["name"]).items())


if __name__ == "__main__":
    main()
