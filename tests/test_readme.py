"""What the README shows runs."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("code", [code for code in blocks("python") if "import ghn" in code])
def test_python_example(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(code, "README.md", "exec"), {})
    output = capsys.readouterr().out
    assert "predicted   6 of 6 parameters, 100.00 %" in output
    assert "['input', 'conv', 'bias', 'bn', 'glob_avg', 'conv', 'bias']" in output


def test_there_is_an_example() -> None:
    assert sum("import ghn" in code for code in blocks("python")) == 1


@pytest.mark.parametrize(
    "file", ["README.md", "CONTRIBUTING.md", *(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/*.md"))]
)
def test_links_lead_somewhere(file: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / file).read_text()):
        if not target.startswith("http"):
            assert ((ROOT / file).parent / target).exists(), target


def test_ci_runs_the_test_command() -> None:
    assert re.search(r"pytest -n 2", README)
    assert re.search(r"^pytest -n 2", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
