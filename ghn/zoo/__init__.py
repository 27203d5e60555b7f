"""Models by name: torchvision, timm, transformers, and anything that can be imported."""
