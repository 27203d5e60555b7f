"""The smallest meta-training: what the tests of runs, ranks and devices start from."""

from ghn.hypernet import GHNConfig
from ghn.meta.config import MetaTrainingConfig, Space

TINY = MetaTrainingConfig(
    hypernet=GHNConfig(hidden=8, layers=1, heads=2, num_classes=10, max_channels=8, spatial=3),
    data="digits",
    space=Space(max_megamacs=60.0, max_cells=8),
    log_every=1,
)
