"""Dispatch: what of a suite is to be run, and the executors that run it."""
