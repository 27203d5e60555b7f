"""Scores of untrained networks, by which their accuracies after training may be ranked."""

from ghn.analysis.zero_cost.table import SCORES, Score, score_table, scores

__all__ = ["SCORES", "Score", "score_table", "scores"]
