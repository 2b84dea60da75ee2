"""One reader a file format or data set."""
