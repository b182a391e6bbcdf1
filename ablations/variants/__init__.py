"""The variants, one file a family. Each is a few changed fields of a system's configuration, no code of its own."""

from importlib import import_module

FAMILIES = (
    *("hbi", "clip4clip", "drl", "glscl", "emcl", "dicosa", "diffusionret"),
    *("bridgeformer", "miles", "hbi_qa"),
)
"""In the order of the tables."""

for family in FAMILIES:
    import_module(f"{__name__}.{family}")
