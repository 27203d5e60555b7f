"""How good predicted parameters are."""

from ghn.evaluate.accuracy import Scores, score
from ghn.evaluate.networks import Evaluation, EvaluationConfig, NetworkResult, evaluate

__all__ = ["Evaluation", "EvaluationConfig", "NetworkResult", "Scores", "evaluate", "score"]
