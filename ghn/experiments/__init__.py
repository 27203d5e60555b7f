"""The paper's tables and figures as declared grids of cells, and what runs grids."""
