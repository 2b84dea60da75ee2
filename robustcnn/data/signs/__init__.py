"""Road signs drawn by us."""
