"""The main job, from a released checkpoint to images classified."""

import importlib.util
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ghn.cli import main
from tests.test_golden import golden

joblib = pytest.importorskip("joblib")
torchvision = pytest.importorskip("torchvision")


def released_file(reference: Path, folder: Path) -> Path:
    """A file in the layout of the released GHN-3-T: a joblib pickle of a flat dict of tensors."""
    spec = importlib.util.spec_from_file_location("published_state", reference / "golden" / "published_state.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    shapes = golden(reference / "golden", "torchvision_ghn3-t")["state_dict_shapes"]
    state = {key: torch.from_numpy(value) for key, value in module.published_state(shapes).items()}
    joblib.dump(state, folder / "ghn3tm8.pt")
    return folder / "ghn3tm8.pt"


def images(folder: Path) -> Tensor:
    """(32, 3, 224, 224): a third of the sample, resized, cropped and normalised as for evaluation."""
    from PIL import Image
    from torchvision.transforms import v2

    transform = v2.Compose(
        [
            v2.PILToTensor(),
            v2.Resize(256, antialias=True),
            v2.CenterCrop(224),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    files = sorted(folder.glob("*/*.JPEG"))[:96:3]
    return torch.stack([transform(Image.open(file).convert("RGB")) for file in files])


def test_predict_resnet50_and_classify_images(reference: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    file = released_file(reference, tmp_path)
    output = tmp_path / "resnet50.safetensors"
    assert main(["predict", "resnet50", "--ghn", str(file), "-o", str(output), "--quiet"]) == 0
    (tmp_path / "ordinary").touch()
    assert output.stat().st_mode == (tmp_path / "ordinary").stat().st_mode
    model = torchvision.models.resnet50()
    model.load_state_dict(load_file(output), strict=True)
    model.train()
    sample = images(reference / "data" / "imagenet-sample")
    assert len(sample) == 32
    with torch.no_grad():
        # Batch normalisation with the statistics of each batch, as predicted networks are evaluated.
        logits = model(sample)
    assert torch.isfinite(logits).all()
    assert logits.std(0).max() > 0
    expected = golden(reference / "golden", "torchvision_ghn3-t")["models"]["resnet50"]["total_norm"]
    total = torch.stack([p.detach().double().norm() for p in model.parameters()]).norm()
    assert float(total) == pytest.approx(expected, rel=1e-4)
