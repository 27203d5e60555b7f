"""`ghn info`: describe a hypernetwork, or list those there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from tyro.conf import Positional

from ghn.cli.support.options import GHN, Json, option
from ghn.cli.support.results import print_json
from ghn.common.progress import Bar


@dataclass(frozen=True, kw_only=True)
class Options:
    """Describe a hypernetwork, or list those there are."""

    name: Annotated[Positional[str | None], option("NAME|PATH", default="list them", help=f"Which one: {GHN}")] = None
    json: Json = False


def run(options: Options) -> None:
    """Run the command.

    Raises:
        ValueError: In one line, if there is no such hypernetwork or it cannot be read.
    """
    if options.name is None:
        _list(as_json=options.json)
        return
    with Bar(f"reading {options.name}"):
        from ghn.checkpoint import describe

        described = describe(options.name)
    if options.json:
        print_json(described, default=str)
    else:
        _show(described)


def _list(*, as_json: bool) -> None:
    from ghn.cli.support.terminal import make_table, quantity, show

    with Bar("loading libraries"):
        from ghn.checkpoint import describe
        from ghn.checkpoint.card import RELEASES
        from ghn.checkpoint.hub import bundled

        found = [describe(name) for name in [*bundled(), *RELEASES]]
    if as_json:
        print_json(found, default=str)
        return
    numbers = ("parameters", "classes")
    table = make_table("hypernetworks", "name", "preset", *numbers, "where", right=numbers)
    for described in found:
        where = "in this installation" if described["kind"] == "bundled" else "downloaded at first use"
        preset, classes = described["preset"] or "none", described["config"]["num_classes"]
        table.add_row(described["name"], preset, quantity(described["total"]), str(classes), where)
    show(table, "", "Others: user/repo on the model hub, a folder, a file. See also `ghn info NAME`.")


def _show(described: dict[str, Any]) -> None:
    from ghn.cli.support.terminal import make_table, show, size

    facts = make_table(described["name"], "", "")
    facts.show_header = False
    facts.add_row("kind", described["kind"])
    facts.add_row("architecture", described["architecture"])
    facts.add_row("preset", described["preset"] or "none: its own sizes")
    where = described["path"] or "not in this installation; downloaded at first use"
    facts.add_row("where", str(where))
    if described["bytes"] is not None:
        facts.add_row("stored as", f"{described['dtype']}, {size(described['bytes'])}")
    for topic, text in (described["training"] or {}).items():
        facts.add_row(topic, str(text))
    parts = make_table("parameters", "part", "number", right=("number",))
    for part, number in described["parameters"].items():
        parts.add_row(part, f"{number:,}")
    parts.add_row("total", f"{described['total']:,}", style="bold")
    config = make_table("configuration", "field", "value")
    for field, value in described["config"].items():
        config.add_row(field, str(value))
    show(facts, "", parts, "", config)
    show("", f"predict with it: ghn predict MODEL -o FILE --ghn {described['name']}")
