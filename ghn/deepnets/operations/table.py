"""The operations by name. A new one is one more record: networks, their graphs, their counts and the tests read it."""

from __future__ import annotations

from types import MappingProxyType

from ghn.deepnets.operations.attention import Transformer
from ghn.deepnets.operations.convolutions import Convolutions, cross, dense, dilated, separable
from ghn.deepnets.operations.gate import Gate
from ghn.deepnets.operations.pooling import Nothing, Pooling, Skip
from ghn.deepnets.operations.record import Operation

_RECORDS: tuple[Operation, ...] = (
    Nothing(name="none"),
    Pooling(name="max_pool_3x3", primitive="max_pool"),
    Pooling(name="avg_pool_3x3", primitive="avg_pool"),
    Skip(name="skip_connect"),
    separable("sep_conv_3x3", 3),
    separable("sep_conv_5x5", 5),
    dilated("dil_conv_3x3", 3),
    dilated("dil_conv_5x5", 5),
    dense("conv_1x1", 1),
    cross("conv_7x1_1x7", 7),
    dense("conv_3x3", 3),
    dense("conv_5x5", 5, large=True),
    dense("conv_7x7", 7, large=True),
    Transformer(name="msa"),
    Gate(name="cse"),
)

RECORDS = MappingProxyType({record.name: record for record in _RECORDS})
"""What an edge of a cell may compute. Random architectures are drawn by position: new records stand last."""

OPERATIONS = tuple(RECORDS)
"""Their names."""

NOT_LEARNABLE = frozenset(name for name, record in RECORDS.items() if not record.learnable)
"""Those without parameters (a skip has some where it must halve the resolution)."""

LARGE_CONVOLUTIONS = frozenset(name for name, record in RECORDS.items() if record.large)
"""Those that dominate a network's size; a cell has at most one."""

CONVOLUTIONS = frozenset(name for name, record in RECORDS.items() if isinstance(record, Convolutions))
"""Those that are convolutions."""
