"""Pictures of computational graphs."""

from ghn.draw.dot import to_dot
from ghn.draw.plotted import to_pdf, to_png
from ghn.draw.save import WRITERS, save
from ghn.draw.svg import to_svg

__all__ = ["WRITERS", "save", "to_dot", "to_pdf", "to_png", "to_svg"]
