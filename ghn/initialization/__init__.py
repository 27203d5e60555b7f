"""The work on a model: its parameters predicted, in place or as a dict, for one model or many."""

from ghn.initialization.many import initialize_many, predict_each, predict_many
from ghn.initialization.one import initialize, predict
from ghn.initialization.report import InitReport

__all__ = ["InitReport", "initialize", "initialize_many", "predict", "predict_each", "predict_many"]
