"""`ghn watch`: the curves of trainings in the browser, while they run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional

from ghn.cli.support.options import Force, Output, Quiet, option, switch

SUFFIXES = (".html", ".htm")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Show the curves of trainings in the browser, while they run.

    Those of ghn train, finetune and compare. The page is served to this machine alone
    until Ctrl-C; what is trained is not touched.

    Attributes:
        folder: The folder of a training or of a comparison, or one with several below it.
        output: An .html file to write with the curves as they are now, instead of serving them.
        port: At which the page is; the next free one where it is taken, 0 for any.
        seconds: Between the page's looks for more.
        open: Open the page in the browser.
    """

    folder: Annotated[Positional[Path], option("FOLDER")]
    output: Output = None
    force: Force = False
    port: Annotated[int, option("N")] = 8040
    seconds: Annotated[float, option("SECONDS")] = 3.0
    open: Annotated[bool, switch()] = False
    quiet: Quiet = False

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65515:
            raise ValueError(f"--port must lie between 0 and 65515, not {self.port}")
        if not 0.2 <= self.seconds <= 86400:
            raise ValueError(f"--seconds must lie between 0.2 and 86,400, not {self.seconds:g}")


def run(options: Options) -> None:
    """Run the command.

    Raises:
        ValueError: In one line, for whatever the user can mend.
    """
    from ghn.analysis.curves.logs import Logs
    from ghn.analysis.curves.server import Server, page_of
    from ghn.cli.support.files import check_writable, replaced
    from ghn.cli.support.terminal import show

    if not options.folder.is_dir():
        what = "is no folder" if options.folder.exists() else "does not exist; start a training first"
        raise ValueError(f"{options.folder} {what}")
    if options.output is not None:
        check_writable(options.output, SUFFIXES, force=options.force)
        logs = Logs(options.folder)
        text = page_of(logs, seconds=None)
        with replaced(options.output) as partial:
            partial.write_text(text, encoding="utf-8")
        if not options.quiet:
            show(f"{options.output}: {len(logs.document()['runs'])} trainings; open it in a browser")
        return
    try:
        server = Server(options.folder, port=options.port, seconds=options.seconds)
    except OSError as error:
        raise ValueError(f"no page at port {options.port} ({error.strerror or error}); try --port 0") from error
    with server:
        if not options.quiet:
            show(f"{server.url} shows {options.folder}; Ctrl-C ends it")
        if options.open:
            import webbrowser

            webbrowser.open(server.url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return
