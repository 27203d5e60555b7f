"""Write the bytecode of what tests import: where Python is told to write none, each process would compile it anew.

python .ci/bytecode.py
"""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
import sys
import warnings

LIBRARIES = """
torch.distributed.fsdp torch.distributed.run torch._dynamo torch.utils.flop_counter torch.utils.tensorboard
torchvision.models.detection timm transformers sklearn.datasets scipy.optimize scipy.stats matplotlib.pyplot h5py
ray fsspec webdataset torchmetrics pycocotools.cocoeval hypothesis networkx xdist playwright.sync_api tyro
"""


def main() -> None:
    """Import them, and every module of the package."""
    sys.dont_write_bytecode = False
    warnings.simplefilter("ignore")
    import ghn

    names = [module.name for module in pkgutil.walk_packages(ghn.__path__, "ghn.") if module.name != "ghn.__main__"]
    for name in (*LIBRARIES.split(), *names):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


if __name__ == "__main__":
    main()
