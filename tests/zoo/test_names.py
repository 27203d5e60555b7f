"""Options behind names, and hints for wrong ones."""

from typing import Any

import pytest

from ghn.zoo.names import near, split_names, split_options, unknown


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("", "", {}),
        ("net", "net", {}),
        ("hf:bert,num_hidden_layers=2", "hf:bert", {"num_hidden_layers": 2}),
        ("net,rate=0.5,ok=true,off=False,none=None,also=null", "net", {"rate": 0.5, "ok": True, "off": False}),
        ('net,depths=[1,1],map={"a":1},act=gelu', "net", {"depths": [1, 1], "map": {"a": 1}, "act": "gelu"}),
        ("net,text=a=b", "net", {"text": "a=b"}),
        ("net,empty=", "net", {"empty": ""}),
        ("net,alone", "net,alone", {}),
        ("net,widths=(4,8),one=(1,)", "net", {"widths": (4, 8), "one": (1,)}),
        ("net,deep=((1, 2), [3]),text='a,b'", "net", {"deep": ((1, 2), [3]), "text": "a,b"}),
        ("net,map={'a': (1, None)}", "net", {"map": {"a": (1, None)}}),
        ("net,open=(4,brackets=[", "net", {"open": "(4", "brackets": "["}),
        ("net,call=(print(1))", "net", {"call": "(print(1))"}),
    ],
)
def test_options_follow_the_name(text: str, name: str, options: dict[str, Any]) -> None:
    nones = dict.fromkeys(("none", "also")) if "none" in text else {}
    assert split_options(text) == (name, options | nones)


def test_deep_values_stay_text() -> None:
    for value in ("[" * 10**5, "(" * 10**5, "(1," * 10**4, "1" * 5000):
        assert split_options(f"net,deep={value}") == ("net", {"deep": value})


def test_hints() -> None:
    assert near("nat", ["net", "other"]) == "did you mean net?"
    assert near("resnet5", ["resnet50", "resnet51"], "timm:") == "did you mean timm:resnet51 or timm:resnet50?"
    assert near("qqqq", ["net"]) == ""


def test_names_that_nothing_is_like() -> None:
    assert str(unknown("timm", "qqqq", ["net"])) == "timm has no model 'qqqq': nothing is called like it (1 models)"
    assert str(unknown("timm", "NAT", ["net"], "timm:")) == "timm has no model 'NAT': did you mean timm:net? (1 models)"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("resnet18", ["resnet18"]),
        ("resnet18,timm:regnety_004,mine.py:make", ["resnet18", "timm:regnety_004", "mine.py:make"]),
        ("resnet18,num_classes=10,vit_b_16", ["resnet18,num_classes=10", "vit_b_16"]),
        ("my.py:make,widths=(4,8),b", ["my.py:make,widths=(4,8)", "b"]),
        ("a,x=[1,[b,c]],y={'k': 'z'},./here.py:f", ["a,x=[1,[b,c]],y={'k': 'z'}", "./here.py:f"]),
        ("a,widths=4,8,b", ["a,widths=4,8", "b"]),
        ("a,/b.py:c,~/d.py:e", ["a", "/b.py:c", "~/d.py:e"]),
        ("a,", ["a,"]),
        ("", [""]),
    ],
)
def test_commas_between_names_and_in_them(text: str, names: list[str]) -> None:
    assert split_names(text) == names


def test_commas_between_starts() -> None:
    known = ("ghn", "default", "noise")
    assert split_names("ghn:a,b+noise,default,default+noise:1", known) == [
        "ghn:a,b+noise",
        "default",
        "default+noise:1",
    ]
    assert split_names("ghn:x,defaults,ghn", known) == ["ghn:x,defaults", "ghn"]
