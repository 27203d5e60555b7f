"""Which of several starts trains best: each from the same networks, images and budget, over several seeds."""

from ghn.comparison.config import CompareConfig
from ghn.comparison.result import Comparison, Difference, Row
from ghn.comparison.run import compare

__all__ = ["CompareConfig", "Comparison", "Difference", "Row", "compare"]
