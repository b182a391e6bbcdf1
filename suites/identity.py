"""The identity of a run: a readable name and a hash, such as ``hbi-shapley.shapes.s0.1a2b3c4d5e``.

The hash is taken over everything that the result depends on, resolved to its last default, as canonical JSON (keys
sorted, numbers as their field's type). Left out is what cannot change the result: where the data lie (data.root), how
a data set would be read that another is only tested on (data.test: it is read as the other), how many processes decode
them (runtime.workers), and what the run is called (its variant; a label is not in a specification at all), and what of
it is kept. Left in is what can, if only by rounding: threads, precision, device,
video reader. A run that comes after another holds that one's hash, so that it is another run when the other is. A file
of weights or sizes stands there by its content, wherever it lies. Where weights are given instead of trained, or
nothing is trained at all, the recipe of training is left out, but for the precision that evaluation shares.

An option that came later is left out where it has the value that all runs had before, so that their ids hold; an
option of a choice that is not taken, always. So of post-processing there is nothing where there is none, the bank
where one is used. A run with post-processing comes after the one without, and so has its recipe in the hash.

The device "auto" is hashed as that word: an id must be the same on the machine that plans (a login node without GPU)
and on the one that computes. It asks for a result from either; a record names the device that gave it.

So equal hashes mean the same computation. The name in front is for people, and part of the id: a computation asked
for under two variants has two ids with one hash, because a record says which variant it was run as, and because an
id must not depend on what else stands in the suite.

``version`` in RunSpec is hashed too. Raise it when a field keeps its value but changes its meaning. A changed default
changes the hashes by itself; tests/golden/run_ids.json makes sure that nobody changes one unawares.

Of a run that measures cost, only the rows (systems and sizes), seed and runtime are hashed: it reads no data and trains
nothing.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hbi.config import CostConfig, DataConfig
from suites.spec import RunSpec

_NO_INFLUENCE: dict[str, Any] = {
    "variant": True,
    "files": True,
    "keep": True,
    "data": {"root": True, "test": {*DataConfig.model_fields} - {"name"}},
    "runtime": {"workers"},
}
_POST_PROCESSING = {
    "none": set[str](),
    "dsl": {"post_processing", "dsl_scale"},
    "qb-norm": {"post_processing", "qb_norm_scale", "qb_norm_nearest", "qb_norm_hub", "bank"},
}
"""The options that each reads."""
_LATER: dict[str, dict[str, Any]] = {
    "data": {"training_frames": "same", "resize": "once"},
    "evaluation": {"qb_norm_nearest": 1, "qb_norm_hub": [1, 1]},
}
"""Options by section, and the values that all runs had before."""


def run_id(spec: RunSpec) -> str:
    """The run's identity, and the name of its folder."""
    return f"{spec.variant}.{spec.data.name}.s{spec.seed}.{computation(spec)}"


def computation(spec: RunSpec) -> str:
    """The hash alone: equal for two specifications exactly when they ask for the same computation."""
    canonical = json.dumps(resolved(spec), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:10]


def resolved(spec: RunSpec) -> dict[str, Any]:
    """What the hash is taken over, as plain data."""
    plain = spec.model_dump(mode="json", exclude=_NO_INFLUENCE)
    for option in set.union(*_POST_PROCESSING.values()) - _POST_PROCESSING[spec.evaluation.post_processing]:
        del plain["evaluation"][option]
    for section, options in _LATER.items():
        for option, before in options.items():
            if plain[section].get(option) == before:
                del plain[section][option]
    if spec.after:
        plain["after"] = spec.after.rpartition(".")[2]
    for option, digest in spec.files.items():
        *groups, name = option.split(".")
        holder = at(plain, groups)
        holder[int(name) if isinstance(holder, list) else name] = f"sha256:{digest}"
    if spec.checkpoint:
        plain["training"] = {"precision": spec.training.precision}
        for option in ("pretrained", "weights", "text_weights", "video_weights"):  # replaced by the checkpoint
            plain["model"].pop(option, None)
    elif not spec.training.epochs:
        plain["training"] = {"epochs": 0, "precision": spec.training.precision}
    if isinstance(spec.model, CostConfig):  # it reads no data, and trains nothing
        return {key: plain[key] for key in ("version", "seed", "model", "runtime")}
    return plain


def at(plain: Any, option: Sequence[str]) -> Any:
    """What plain data hold at an option, given by the parts of its dotted name; a number is a place in a list."""
    for key in option:
        plain = plain[int(key)] if isinstance(plain, list) else plain[key]
    return plain


def flat(plain: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every option in plain data by its dotted name, as ``at`` finds it; of lists, those of mappings are entered."""
    if isinstance(plain, Mapping):
        for key, inner in plain.items():
            yield from flat(inner, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(plain, list) and any(isinstance(inner, Mapping) for inner in plain):
        yield from flat(dict(enumerate(plain)), prefix)
    else:
        yield prefix, plain
