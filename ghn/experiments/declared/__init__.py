"""The experiments, each as stages of cells and what is made of their results."""
