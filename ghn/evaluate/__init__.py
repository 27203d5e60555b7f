"""How good networks are before any training, from predicted parameters and from any other start."""

from ghn.evaluate.accuracy import Scores, score
from ghn.evaluate.config import EvaluationConfig
from ghn.evaluate.results import Evaluation, NetworkResult
from ghn.evaluate.run import evaluate

__all__ = ["Evaluation", "EvaluationConfig", "NetworkResult", "Scores", "evaluate", "score"]
