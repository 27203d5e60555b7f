"""What a fine-tuning gives, for people and for JSON."""

from __future__ import annotations

import json
import math

from ghn.finetuning import FinetuneResult, HistoryPoint

POINTS = (
    HistoryPoint(step=0, loss=math.inf, accuracy=0.1),
    HistoryPoint(step=1200, loss=0.5, accuracy=0.75, validation=0.7, averaged=0.8),
)
RESULT = FinetuneResult(
    learning_rate=0.1, steps=1200, score=0.7, scores={0.1: 0.7, 0.4: -math.inf}, losses=[math.nan], history=POINTS
)


def test_it_is_readable() -> None:
    assert str(RESULT).splitlines() == [
        "learning rate 0.1, 1,200 steps, 0.0 s",
        "  step 0: 10.0 % of test images right, loss inf",
        "  step 1,200: 75.0 % of test images right, 70.0 % of held-out ones, averaged weights 80.0 %, loss 0.500",
    ]


def test_json_has_no_numbers_that_are_none() -> None:
    plain = json.loads(json.dumps(RESULT.to_dict(), allow_nan=False))
    assert plain["scores"] == {"0.1": 0.7, "0.4": None}
    assert [point["loss"] for point in plain["history"]] == [None, 0.5]
    assert (plain["accuracy"], plain["losses"], plain["start"]) == (0.75, [None], None)


def test_without_a_history_there_is_no_accuracy() -> None:
    assert math.isnan(FinetuneResult(learning_rate=1, steps=0, score=0, scores={}, losses=[]).accuracy)
