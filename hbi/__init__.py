"""Games, models, data, metrics and training of Hierarchical Banzhaf Interaction; knows no suite and no cluster."""
