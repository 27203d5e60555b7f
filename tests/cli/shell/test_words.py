"""What can be typed after a command."""

from ghn.cli.analyze import TASKS
from ghn.cli.shell.words import Command, Word, all_commands
from ghn.cli.support.commands import COMMANDS


def command(name: str) -> Command:
    return next(each for each in all_commands() if each.name == name)


def word(name: str, flag: str) -> Word:
    return next(each for each in command(name).options if flag in each.flags)


def test_every_command_is_described() -> None:
    found = {each.name: each.summary for each in all_commands()}
    assert {name: summary for name, summary in found.items() if " " not in name} == dict(COMMANDS)
    assert {name for name in found if " " in name} == {f"analyze {task}" for task in TASKS}


def test_choices_are_values() -> None:
    assert word("predict", "--head") == Word(flags=("--head",), kind="words", values=("keep", "predict"))
    assert word("train", "--optimizer").values == ("adamw", "adam", "sgd")
    assert word("predict", "--device").values == ("cpu", "cuda")


def test_switches_have_none() -> None:
    assert word("predict", "--json").switch
    assert word("predict", "--no-statistics").switch
    assert word("predict", "--help").switch
    assert not word("predict", "--seed").switch


def test_files_models_hypernetworks_and_runs() -> None:
    assert word("predict", "--output") == Word(flags=("-o", "--output"), kind="file")
    assert command("predict").positional.kind == "model"
    assert word("evaluate", "--models").kind == "model"
    assert "ghn3-t-cifar10" in word("predict", "--ghn").values
    assert "digits-smoke" in command("train").positional.values
    assert command("completion").positional.values == ("bash", "zsh", "fish")
    assert word("finetune", "--data").values == ("cifar10", "cifar100", "digits", "imagenet")
