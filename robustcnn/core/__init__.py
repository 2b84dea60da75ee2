"""Values and formulas that every other room may read."""
