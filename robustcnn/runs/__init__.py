"""A config in, a folder out: training, pre-training, evaluation, comparison."""
