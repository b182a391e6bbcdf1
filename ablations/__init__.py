"""What is compared: the registry of variants, and the code that executes one run."""
