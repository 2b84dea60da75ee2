"""How the weights move: optimisers, penalties, averaging, weight perturbation."""
