"""Every way to start a training: initialisers by name, and chains of them (`create`)."""

from ghn.initializers.calibration import calibrate
from ghn.initializers.chain import NAMES, Chain, create
from ghn.initializers.report import Initializer, StartReport
from ghn.initializers.transfer.selection import WeightSelection

__all__ = ["NAMES", "Chain", "Initializer", "StartReport", "WeightSelection", "calibrate", "create"]
