"""`ghn predict` from the command line to the file, and all that must stop it."""

import errno
import gzip
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ghn.cli.support.files import separate
from ghn.model import from_pretrained
from ghn.zoo import ModelRequest, build_model
from tests.cli.conftest import Run

Ghn = Callable[..., Run]
Refused = Callable[..., str]

OPTIONS = ("--ghn", "TINY", "-o", "OUT/x.safetensors")


def own_model(name: str, **options: Any) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build_model(ModelRequest(name=name, **options)).model


@pytest.mark.parametrize("name", ["zoo:net", "zoo:Tied", "zoo:vector", "squeezenet1_1", "timm:resnet10t"])
def test_the_file_loads_strictly_and_equals_the_library(name: str, ghn: Ghn, tmp_path: Path, folder: Path) -> None:
    assert ghn("predict", name, *OPTIONS).code == 0
    state = load_file(tmp_path / "x.safetensors")
    model = own_model(name)
    from_pretrained(folder / "tiny").initialize(model, build_model(ModelRequest(name=name)).example_inputs)
    expected = model.state_dict()
    assert state.keys() == expected.keys()
    for key, tensor in state.items():
        torch.testing.assert_close(tensor, expected[key], rtol=0, atol=0)
    fresh = own_model(name)
    fresh.load_state_dict(state, strict=True)


def test_the_report_is_saved_beside_the_result(ghn: Ghn, tmp_path: Path) -> None:
    assert ghn("predict", "zoo:net", *OPTIONS, "--seed", "3").code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"x.safetensors", "x.predict.json"}
    record = json.loads((tmp_path / "x.predict.json").read_text())
    assert record["options"]["model"] == "zoo:net"
    assert record["options"]["seed"] == 3
    assert record["hypernetwork"]["hidden"] == 8
    assert record["report"]["fraction"] == 1.0
    assert set(record["report"]["predicted"]) == {name for name, _ in own_model("zoo:net").named_parameters()}


def test_json(ghn: Ghn, tmp_path: Path) -> None:
    result = ghn("predict", "zoo:net", *OPTIONS, "--json")
    assert json.loads(result.out) == json.loads((tmp_path / "x.predict.json").read_text())
    assert result.err == ""


def test_quiet(ghn: Ghn, tmp_path: Path) -> None:
    result = ghn("predict", "zoo:net", *OPTIONS, "--quiet")
    assert (result.code, result.out, result.err) == (0, "", "")
    assert (tmp_path / "x.safetensors").exists()


@pytest.mark.parametrize("columns", [80, 120])
def test_the_table_tells_what_was_predicted_and_kept(columns: int, ghn: Ghn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    result = ghn("predict", "zoo:net,num_classes=7", *OPTIONS)
    rows = [line.split() for line in result.out.splitlines()]
    assert ["0", "2", "0", "224", "100.0", "%"] in rows
    assert ["5", "0", "2", "63", "0.0", "%"] in rows
    assert ["total", "4", "2", "303", "79.2", "%"] in rows
    assert "classification head of 7 classes" in result.out
    assert "5.weight" in result.out
    assert max(map(len, result.out.splitlines()[:-1])) <= columns
    assert result.err == ""


def test_seed_governs_what_is_kept_and_nothing_else_of_the_process(ghn: Ghn, tmp_path: Path) -> None:
    def head(seed: str) -> Tensor:
        assert ghn("predict", "zoo:net", *OPTIONS, "--num-classes", "7", "--seed", seed, "--quiet", "--force").code == 0
        return load_file(tmp_path / "x.safetensors")["5.weight"]

    before = torch.random.get_rng_state()
    assert torch.equal(head("1"), head("1"))
    assert not torch.equal(head("1"), head("2"))
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_same_prediction_again_leaves_its_file_and_another_is_refused(ghn: Ghn, tmp_path: Path) -> None:
    assert ghn("predict", "zoo:net,num_classes=7", *OPTIONS).code == 0
    files = [tmp_path / "x.safetensors", tmp_path / "x.predict.json"]
    before = [(file.stat().st_mtime_ns, file.stat().st_ino, file.read_bytes()) for file in files]

    again = ghn("predict", "zoo:net", "--num-classes", "7", *OPTIONS)  # the same model, said otherwise
    assert (again.code, again.err) == (0, "")
    assert again.out.rstrip().endswith("held this very prediction")
    for other in (["zoo:net,num_classes=6"], ["zoo:net,num_classes=7", "--seed", "3"], ["zoo:net"]):
        refused = ghn("predict", *other, *OPTIONS)
        assert (refused.code, refused.out) == (2, "")
        assert refused.err.endswith("x.safetensors exists: --force replaces it, or choose another name\n")
    assert before == [(file.stat().st_mtime_ns, file.stat().st_ino, file.read_bytes()) for file in files]


def test_the_same_prediction_again_rounded_otherwise_or_with_its_page_is_the_same(ghn: Ghn, tmp_path: Path) -> None:
    words = ["zoo:net", *OPTIONS, "--page", "OUT/x.html"]
    assert ghn("predict", *words).code == 0
    file = tmp_path / "x.safetensors"
    tensors = load_file(file)

    def save_scaled(by: float) -> None:
        save_file({name: value * by if value.is_floating_point() else value for name, value in tensors.items()}, file)

    save_scaled(1 + 1e-6)  # as another number of threads does
    before = file.read_bytes()
    assert ghn("predict", *words).code == 0
    assert file.read_bytes() == before
    (tmp_path / "y.html").write_text("mine")
    assert ghn("predict", "zoo:net", *OPTIONS, "--page", "OUT/y.html").code == 2
    assert (tmp_path / "y.html").read_text() == "mine"
    save_scaled(1.01)
    assert ghn("predict", *words).code == 2


def test_what_differs_by_its_options_is_refused_before_any_work(
    ghn: Ghn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ghn("predict", "zoo:net", *OPTIONS).code == 0
    monkeypatch.setattr("ghn.zoo.build.build_model", lambda *_: pytest.fail("work has begun"))
    assert ghn("predict", "zoo:net", *OPTIONS, "--seed", "3").code == 2


@pytest.mark.parametrize("name", ["x.safetensors", "x.predict.json"])
@pytest.mark.parametrize("content", [b"mine", b"", b"[]", b'{"command": "finetune"}'])
def test_what_is_no_prediction_is_never_replaced(name: str, content: bytes, ghn: Ghn, tmp_path: Path) -> None:
    assert ghn("predict", "zoo:net", *OPTIONS).code == 0
    (tmp_path / name).write_bytes(content)
    assert ghn("predict", "zoo:net", *OPTIONS).code == 2
    assert (tmp_path / name).read_bytes() == content


def test_head(ghn: Ghn, tmp_path: Path) -> None:
    words = ("predict", "zoo:net", *OPTIONS, "--num-classes", "7", "--json")
    kept = json.loads(ghn(*words).out)["report"]["kept"]
    assert kept.keys() == {"5.weight", "5.bias"}
    assert json.loads(ghn(*words, "--head", "predict", "--force").out)["report"]["kept"] == {}


def test_image_size(ghn: Ghn, tmp_path: Path) -> None:
    assert ghn("predict", "zoo:sized", *OPTIONS, "--image-size", "4").code == 0
    assert load_file(tmp_path / "x.safetensors")["1.weight"].shape == (10, 48)


# Bad input: one line, nothing written


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["resnet5", *OPTIONS], "did you mean resnet50"),
        (["zoo:empty", *OPTIONS], "ReLU has no parameters: there is nothing to predict"),
        (["zoo:Fails", *OPTIONS], "the forward pass of Fails fails on"),
        (["zoo:fixed", *OPTIONS, "--image-size", "16"], "forward pass of Sequential fails on float32(2, 3, 16, 16)"),
        (["zoo:Extra", *OPTIONS], "holds _extra_state, a str"),
        (["zoo:net", *OPTIONS, "--num-classes", "7", "--min-fraction", "0.9"], "only 79.21 % of the elements"),
        (["zoo:net", "--ghn", "TINY", "-o", "OUT/x.pt"], "must end in .safetensors"),
        (["zoo:net", "--ghn", "TINY", "-o", "OUT/no/x.safetensors"], "no does not exist; make it first"),
        (["zoo:net", "--ghn", "TINY", "-o", "zoo.py/x.safetensors"], "zoo.py is no folder"),
        (["zoo:net", "--ghn", "TINY", "-o", "/proc/x.safetensors"], "cannot write /proc/x.safetensors"),
        (["zoo:net", "--ghn", "ghn3-tt", "-o", "OUT/x.safetensors"], "unknown hypernetwork 'ghn3-tt'"),
        (["zoo:net", "--ghn", "TINY/nothing.pt", "-o", "OUT/x.safetensors"], "there is no such file"),
        (["zoo:net", "--ghn", "zoo.py", "-o", "OUT/x.safetensors"], "zoo.py: is damaged, or no file of plain data"),
    ],
)
def test_bad_input(words: list[str], part: str, refused: Refused) -> None:
    assert part in refused("predict", *words)


def test_a_folder_in_the_way(ghn: Ghn, tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").mkdir()
    result = ghn("predict", "zoo:net", *OPTIONS)
    assert result.code == 2
    assert "it is a folder; name a file in it" in result.err
    assert len(list(tmp_path.iterdir())) == 1


def test_the_output_is_checked_before_the_work(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ghn.zoo.build_model", lambda request: pytest.fail("the model was built"))
    refused("predict", "zoo:net", "--ghn", "TINY", "-o", "OUT/no/x.safetensors")
    refused("predict", "zoo:net", "--ghn", "nothing", "-o", "OUT/x.safetensors")


def test_without_the_default_hypernetwork(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ghn.checkpoint.hub.bundled", dict)
    line = refused("predict", "zoo:net", "-o", "OUT/x.safetensors")
    assert "does not hold the hypernetwork ghn3-t-cifar10" in line
    assert "ghn3xlm16 (downloaded at first use)" in line


def test_a_checkpoint_of_another_architecture(ghn: Ghn, refused: Refused, folder: Path, tmp_path: Path) -> None:
    other = folder / "other"
    other.mkdir(exist_ok=True)
    save_file({"conv1.weight": torch.zeros(8, 3, 3, 3)}, other / "model.safetensors")
    (other / "config.json").write_text((folder / "tiny" / "config.json").read_text())
    assert "model.safetensors" in refused("predict", "zoo:net", "--ghn", str(other), "-o", "OUT/x.safetensors")


def test_old_files_survive_a_failure(ghn: Ghn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("x.safetensors", "x.predict.json"):
        (tmp_path / name).write_text("old")

    def full(tensors: Any, path: Path, metadata: Any) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    result = ghn("predict", "zoo:net", *OPTIONS, "--force")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: cannot write ")
    assert result.err.endswith("x.safetensors: No space left on device; nothing was written\n")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(
        ("x.safetensors", "x.predict.json"), "old"
    )


def test_interrupting_the_writing_leaves_nothing(ghn: Ghn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(tensors: Any, path: Path, metadata: Any) -> None:
        Path(path).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("safetensors.torch.save_file", interrupted)
    result = ghn("predict", "zoo:net", *OPTIONS)
    assert (result.code, result.err) == (130, "error: interrupted\n")
    assert not list(tmp_path.iterdir())


# The published layout


def test_resnet50_on_a_published_checkpoint(reference: Path, ghn: Ghn, tmp_path: Path) -> None:
    """Converted, predicted, loaded into torchvision's model: every tensor's norm is the released code's."""
    golden = json.loads(gzip.decompress((reference / "golden" / "torchvision_ghn3-t.json.gz").read_bytes()))
    sys.path.append(str(reference / "golden"))
    from published_state import published_state  # type: ignore[import-not-found]

    state = {key: torch.from_numpy(values) for key, values in published_state(golden["state_dict_shapes"]).items()}
    torch.save({"state_dict": state}, tmp_path / "published.pt")
    assert ghn("convert", "OUT/published.pt", "-o", "OUT/converted").code == 0
    result = ghn("predict", "resnet50", "--ghn", "OUT/converted", "-o", "OUT/resnet50.safetensors", "--json")
    assert result.code == 0, result.err
    expected = golden["models"]["resnet50"]
    assert json.loads(result.out)["report"]["total_norm"] == pytest.approx(expected["total_norm"], rel=1e-4)
    from torchvision.models import resnet50

    model = resnet50()
    model.load_state_dict(load_file(tmp_path / "resnet50.safetensors"), strict=True)
    for name, parameter in model.named_parameters():
        assert parameter.norm().item() == pytest.approx(expected["params"][name]["norm"], rel=1e-4)


@pytest.mark.parametrize("name", ["__metadata__", "a\ud800b"])
def test_names_that_safetensors_cannot_hold(name: str) -> None:
    with pytest.raises(ValueError, match="a name that safetensors cannot hold") as caught:
        separate({name: torch.ones(1)})
    assert str(caught.value).isprintable()
    assert list(separate({"größe.🙂": torch.ones(1)})) == ["größe.🙂"]


def test_calibration_sets_statistics_and_the_head(ghn: Ghn, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    words = ["predict", "resnet18,num_classes=10", *OPTIONS, "--calibrate", "digits", "--calibrate-images", "64"]
    result = ghn(*words, "--image-size", "32")
    assert result.code == 0, result.err
    assert "calibrated: 20 batch norms have new statistics" in result.out
    state = load_file(tmp_path / "x.safetensors")
    assert float(state["bn1.running_mean"].abs().sum()) > 0
    record = json.loads((tmp_path / "x.predict.json").read_text())
    assert "bn1.running_var" in record["calibration"]["changed"]
    assert record["options"]["calibrate_images"] == 64
    fresh = own_model("resnet18,num_classes=10")
    fresh.load_state_dict(state, strict=True)
    again = tmp_path / "again.safetensors"
    assert ghn(*[str(again) if word == OPTIONS[3] else word for word in words], "--image-size", "32").code == 0
    assert all(torch.equal(value, state[name]) for name, value in load_file(again).items())


def test_without_calibration_it_says_what_is_missing(ghn: Ghn, tmp_path: Path) -> None:
    result = ghn("predict", "timm:resnet10t", *OPTIONS)
    assert "batch-norm statistics stay: the hypernetwork brings no images along\n--calibrate DATA|FOLDER" in result.out
    assert json.loads((tmp_path / "x.predict.json").read_text())["statistics"]["images"] == 0
    result = ghn("predict", "timm:resnet10t", *OPTIONS, "--no-statistics", "--force")
    assert "batch-norm statistics are not predicted: --calibrate DATA|FOLDER sets them" in result.out
    assert json.loads((tmp_path / "x.predict.json").read_text())["statistics"] is None
    assert "statistics" not in ghn("predict", "vit_b_32", *OPTIONS, "--force").out


@pytest.mark.parametrize(
    ("name", "size", "options"),
    [
        ("resnet18,num_classes=10", 32, ()),
        ("resnet18,num_classes=10", 48, ("--image-size", "48")),
        pytest.param("inception_v3,num_classes=10,init_weights=false", 224, (), marks=pytest.mark.slow),
    ],
)
def test_statistics_come_from_the_images_of_the_hypernetwork(
    name: str, size: int, options: tuple[str, ...], ghn: Ghn, tmp_path: Path
) -> None:
    words = ("predict", name, "-o", "OUT/x.safetensors", *options)
    result = ghn(*words)
    assert result.code == 0, result.err
    norms = {"resnet18": 20, "inception_v3": 94}[name.partition(",")[0]]
    line = f"{norms} batch norms have statistics from 64 images of cifar10, {size}×{size} pixels"
    assert line in result.out
    record = json.loads((tmp_path / "x.predict.json").read_text())["statistics"]
    assert (record["images"], record["data"], record["size"]) == (64, "cifar10", [size, size])
    state = load_file(tmp_path / "x.safetensors")
    assert len(record["changed"]) == 2 * norms
    assert all(bool((state[changed] != float(changed.endswith("var"))).any()) for changed in record["changed"])
    own_model(name).load_state_dict(state, strict=True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--calibrate", "nosuch"), "nosuch is no folder, and no data set; there are cifar10, cifar100, digits"),
        (("--calibrate", "digits", "--calibrate-images", "0"), "--calibrate-images must be at least 1, not 0"),
        (("--calibrate", "digits", "--calibrate-images", "8"), "calibrate needs at least 16 labelled images, not 8"),
    ],
)
def test_bad_calibration(words: tuple[str, ...], message: str, refused: Refused) -> None:
    pytest.importorskip("sklearn")
    assert message in refused("predict", "resnet18,num_classes=10", *OPTIONS, *words)


def test_a_page_of_what_was_predicted(ghn: Ghn, tmp_path: Path) -> None:
    from tests.cli.test_explore import data

    words = ("predict", "zoo:net", "-o", "OUT/x.safetensors", "--ghn", "TINY", "--num-classes", "7")
    assert ghn(*words, "--page", "OUT/x.html").code == 0
    found = data(tmp_path / "x.html")
    state = load_file(tmp_path / "x.safetensors")
    own, predicted = found["starts"]
    for number, entry in enumerate(found["parameters"]):
        norm = float(state[entry["name"]].norm())
        assert predicted["values"][number][0] == pytest.approx(norm, rel=1e-4)
        kept = predicted["kept"][number]
        assert (kept >= 0) == (own["values"][number] == predicted["values"][number])
        if kept >= 0:
            assert "7 classes" in found["reasons"][kept]
    assert sum(kept >= 0 for kept in predicted["kept"]) == 2


def test_a_page_has_the_name_of_one(refused: Refused) -> None:
    line = refused("predict", "zoo:net", "-o", "OUT/x.safetensors", "--page", "OUT/x.pdf")
    assert "must end in .html or .htm" in line
