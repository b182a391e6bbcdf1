"""Hierarchical Banzhaf Interaction: games, models, data, metrics, cost and training. Knows nothing of suites or clusters."""
