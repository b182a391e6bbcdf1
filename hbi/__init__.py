"""Games, models, data, metrics and training of Hierarchical Banzhaf Interaction; knows nothing of suites or clusters."""
