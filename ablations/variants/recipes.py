"""What variants of several families have in common."""

RELEASED_TRAINING = {"optimiser": "bertadam", "schedule": "released", "precision": "released"}
"""How the published codes train; they come from one."""
