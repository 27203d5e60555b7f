"""The vocabulary is part of every released checkpoint: a row of the embedding table each."""

import pytest

from ghn.graph.vocabulary import PRIMITIVE_INDEX, PRIMITIVES


def test_rows_are_those_of_the_released_tables() -> None:
    # Written out again: weights of released checkpoints stand in this order.
    released = "max_pool avg_pool sep_conv dil_conv conv msa cse sum concat input bias bn ln pos_enc glob_avg"
    assert released.split() == list(PRIMITIVES)
    assert [PRIMITIVE_INDEX[name] for name in PRIMITIVES] == list(range(15))


def test_rows_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        PRIMITIVE_INDEX["conv"] = 0  # type: ignore[index]
