"""Metrics of retrieval and question answering, on arrays; free of torch."""
