"""Image data sets that hypernetworks and their target networks are trained and tested on."""

from ghn.data.augment import Augmentation
from ghn.data.errors import DataError
from ghn.data.image_folder import ImageFolder, ImageFolderStream
from ghn.data.image_set import ImageSet
from ghn.data.load import DATA_SETS, load
from ghn.data.stream import ImageStream

__all__ = [
    "DATA_SETS",
    "Augmentation",
    "DataError",
    "ImageFolder",
    "ImageFolderStream",
    "ImageSet",
    "ImageStream",
    "load",
]
