"""Grids of cells: computed by one process, several, or a cluster; stored by what they are, so that all share them."""
