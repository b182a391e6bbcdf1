"""The short spellings of a suite, rewritten as the long one while places are still attached to the nodes.

``data: shapes`` is {name: shapes}; in the list of variants ``- hbi`` is {name: hbi}, and ``- hbi: {seeds: 2}`` is
{name: hbi, seeds: 2}, also when ``seeds`` is not indented further than ``hbi``.
"""

import yaml

from suites.schema import VariantEntry
from suites.yaml_core import TAG


def spell_out(root: yaml.MappingNode) -> None:
    """Rewrites ``root``, a suite, in place."""
    for index, (key, value) in enumerate(root.value):
        if key.value == "data":
            root.value[index] = (key, _named(value))
        if key.value == "variants" and isinstance(value, yaml.SequenceNode):
            value.value = [_entry(item) for item in value.value]


def _entry(node: yaml.Node) -> yaml.Node:
    if not isinstance(node, yaml.MappingNode):
        return _named(node)
    pairs = node.value
    if pairs and isinstance(pairs[0][0], yaml.ScalarNode) and pairs[0][0].value not in VariantEntry.model_fields:
        (name, value), *others = pairs
        if _empty(value) or isinstance(value, yaml.MappingNode):
            pairs = [*_named(name).value, *([] if _empty(value) else value.value), *others]
    return _mapping(node, [(key, _named(value) if key.value == "data" else value) for key, value in pairs])


def _named(node: yaml.Node) -> yaml.Node:
    if not isinstance(node, yaml.ScalarNode) or _empty(node):
        return node
    return _mapping(node, [(yaml.ScalarNode(TAG + "str", "name", node.start_mark, node.end_mark), node)])


def _empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == TAG + "null"


def _mapping(like: yaml.Node, pairs: list[tuple[yaml.Node, yaml.Node]]) -> yaml.MappingNode:
    return yaml.MappingNode(TAG + "map", pairs, like.start_mark, like.end_mark)
