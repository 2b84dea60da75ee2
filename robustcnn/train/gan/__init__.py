"""Pre-training of a DCGAN."""
