"""Models by name, built from their definitions: nothing is downloaded.

    resnet50                     torchvision
    timm:resnet50d               timm
    hf:vit, hf:BertForMaskedLM   transformers: a model type or a class, with the configuration's defaults
    package.module:factory       any function, class or module object on the Python path
    path/to/file.py:factory      the same of a file

Options of the constructor (of the configuration, for transformers) follow the name: `hf:bert,num_hidden_layers=2`;
values are written as in JSON or Python: `my_models:make,widths=(4,8)`.
"""

from ghn.zoo.build import build_model, digest
from ghn.zoo.request import BuiltModel, ModelRequest

__all__ = ["BuiltModel", "ModelRequest", "build_model", "digest"]
