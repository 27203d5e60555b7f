"""`ghn models`: what MODEL can be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional

from ghn.cli.support.options import Json, option
from ghn.cli.support.results import print_json
from ghn.common.progress import Bar


@dataclass(frozen=True, kw_only=True)
class Options:
    """List models by name: what MODEL of other commands can be.

    No model is built, and no weights are downloaded.

    Names are gathered once for each version of the libraries, and kept.

    Attributes:
        pattern: Part of a name, or with * and ? the whole of it: resnet, 'timm:*vit*', '*' for all.
    """

    pattern: Annotated[Positional[str | None], option("PATTERN", default="how many there are")] = None
    json: Json = False


def run(options: Options) -> None:
    """Run the command.

    Raises:
        ValueError: In one line, if there is no such model; names the nearest.
    """
    from ghn.zoo.catalogue import all_models, by_source, matching

    with Bar("gathering names of models"):
        names = all_models()
    found = names if options.pattern is None else matching(options.pattern, names)
    if options.json:
        print_json(by_source(found))
    elif options.pattern is None:
        _show_counts(names)
    else:
        print("\n".join(found))


def _show_counts(names: list[str]) -> None:
    from ghn.cli.support.terminal import make_table, show
    from ghn.zoo.build import OTHER
    from ghn.zoo.catalogue import by_source, installed, source_of

    versions = installed()
    table = make_table("models", "library", "version", "models", "e.g.", right=("models",))
    for library, members in by_source(names).items():
        example = ", ".join(members[:: max(1, len(members) // 3)][:3])
        table.add_row(library, versions[library] or "not installed", f"{len(members):,}", example)
    notes = ["find some: ghn models PATTERN, e.g. ghn models resnet", f"your own: {OTHER.usage}"]
    if any(source_of(name).library == "transformers" for name in names):
        notes.append("of transformers also classes: hf:BertForMaskedLM")
    show(table, "", *notes)
