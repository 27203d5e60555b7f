"""Names of hypernetworks are checked before anything is loaded."""

from pathlib import Path

import pytest

from ghn.cli.support.hypernetworks import DEFAULT_HYPERNETWORK, chosen_name


@pytest.mark.parametrize("name", [DEFAULT_HYPERNETWORK, "ghn3xlm16", "user/repo"])
def test_names_that_lead_somewhere_stay_as_they_are(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getaddrinfo", lambda *args: pytest.fail("asked the network"))
    assert chosen_name(name) == name


def test_folders(folder: Path) -> None:
    assert chosen_name(str(folder / "tiny")) == str(folder / "tiny")


@pytest.mark.parametrize(
    ("name", "part"), [("ghn3xlm61", "did you mean ghn3xlm16"), ("no/such/folder", "no such file")]
)
def test_names_that_lead_nowhere(name: str, part: str) -> None:
    with pytest.raises(ValueError, match=part):
        chosen_name(name)


def test_an_installation_without_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ghn.checkpoint.hub.bundled", dict)
    with pytest.raises(ValueError, match="does not hold the hypernetwork ghn3-t-cifar10: name another with --ghn"):
        chosen_name(DEFAULT_HYPERNETWORK)
    assert chosen_name("ghn3xlm16") == "ghn3xlm16"
