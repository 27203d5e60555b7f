"""Names of operators: each is one of this version's, of an older one or of another library, and says one thing."""

import pytest
import torch

from ghn.graph.read import operators
from ghn.graph.read.handlers import HANDLERS
from ghn.graph.record.op_graph import FLEX_ATTENTION, GRADIENT, WRITE
from ghn.graph.record.recurrent import RECURRENT

SETS = {name: set(value) for name, value in vars(operators).items() if name.isupper()}
# Of PyTorch 2.6 and later, or of builds with other backends.
ELSEWHERE = {"_fused_rms_norm", "_grouped_mm", "_batch_norm_no_update", "mkldnn_convolution", "mkldnn_max_pool2d"}
NO_FUNCTION = {WRITE, GRADIENT, FLEX_ATTENTION, "torchvision.deform_conv2d", "transformers.grouped_mm_fallback"}


@pytest.mark.parametrize("name", sorted(set().union(*SETS.values(), HANDLERS) - ELSEWHERE - NO_FUNCTION))
def test_operator_exists(name: str) -> None:
    assert hasattr(torch.ops.aten, name) or hasattr(torch.ops.aten, f"{name}_"), f"misspelt, or gone: {name}"


def test_kinds_are_apart() -> None:
    kinds = ["CONVOLUTIONS", "MATRIX_PRODUCTS", "MATRIX_PRODUCTS_ADDED", "NORMALISATIONS", "SOFTMAXES", "LOG_SOFTMAXES"]
    kinds += ["MAX_POOLS", "AVG_POOLS", "GLOBAL_AVG_POOLS", "GLOBAL_MAX_POOLS", "REDUCTIONS", "SHAPE_ONLY", "VIEWS"]
    kinds += ["ACTIVATIONS"]
    names = [name for kind in kinds for name in SETS[kind]]
    assert len(names) == len(set(names))
    assert not SETS["VIEWS"] & SETS["PICKS"]


def test_what_needs_a_handler_has_one() -> None:
    handled = set().union(*(SETS[kind] for kind in SETS if kind.endswith(("POOLS", "PRODUCTS", "_ADDED", "SOFTMAXES"))))
    assert handled | SETS["CONVOLUTIONS"] | SETS["NORMALISATIONS"] | SETS["LOOKUPS"] | set(RECURRENT) <= set(HANDLERS)
    # Handlers of these would shadow what contraction does with them; that of indices leaves all but chance to it.
    contracted = SETS["VIEWS"] | SETS["ACTIVATIONS"] | SETS["PICKS"] - SETS["LOOKUPS"] - SETS["INDEXED"]
    assert not contracted & set(HANDLERS)
