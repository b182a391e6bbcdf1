"""What a model costs: operations, time, memory."""
