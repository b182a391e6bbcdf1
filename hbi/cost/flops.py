"""How many floating-point operations a computation takes, and whether all of them were counted.

    report = count_flops(model, images)
    report.total, report.macs, report.complete

Counts follow from the shapes of the operations that run, so tensors on torch's meta device do as well as real ones, and
take neither time nor memory. hbi.cost.formulas has the convention and the price of each operation.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hbi.cost.formulas import Call, Cost, price

Shapes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Unpriced:
    """An operation that ran ``calls`` times on tensors of these shapes, and that no formula prices."""

    operation: str
    shapes: Shapes
    calls: int


@dataclass(frozen=True)
class FlopReport:
    """What a computation costs: every operation that ran is either in ``by_operation`` or in ``unpriced``.

    total         FLOPs, of which 1 MAC makes 2
    macs          multiply-accumulates of matrix products, convolutions and recurrences: what papers mostly print
    by_operation  FLOPs by the operation's name ("aten.mm"), largest first; 0 for those that only move data
    unpriced      those without a formula; where there are any, the other numbers are lower bounds
    """

    total: int
    macs: int
    by_operation: dict[str, int]
    unpriced: tuple[Unpriced, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every operation that ran is priced."""
        return not self.unpriced

    @property
    def matmul(self) -> int:
        """FLOPs of the multiply-accumulates alone: what torch's own counter and open_clip's profile count."""
        return 2 * self.macs

    def __add__(self, other: "FlopReport") -> "FlopReport":
        """The cost of both, one after the other."""
        calls: Counter[tuple[str, Shapes]] = Counter()
        for item in (*self.unpriced, *other.unpriced):
            calls[item.operation, item.shapes] += item.calls
        by_operation = Counter(self.by_operation)
        by_operation.update(other.by_operation)
        return _report(self.macs + other.macs, by_operation, calls)


def _report(macs: int, by_operation: Counter[str], unpriced: Counter[tuple[str, Shapes]]) -> FlopReport:
    return FlopReport(
        total=sum(by_operation.values()),
        macs=macs,
        by_operation=dict(by_operation.most_common()),
        unpriced=tuple(Unpriced(operation, shapes, calls) for (operation, shapes), calls in unpriced.items()),
    )


def count_flops(fn: Callable[..., Any], *inputs: Any) -> FlopReport:
    """Runs ``fn(*inputs)`` and counts it: a function or a module, forward or with its backward pass.

    A module and inputs on the meta device are counted without being computed, as long as nothing asks for a value.
    Transformers take their usual path, not the fused one of evaluation, which no counter can look into. Operations
    are counted as they run, so under torch.no_grad() or not, in training mode or not, is the caller's business.
    """
    counter = _Counter()
    with _no_fused_transformers(), counter:
        fn(*inputs)
    return _report(counter.macs, counter.by_operation, counter.unpriced)


_QUESTIONS = frozenset(
    f"aten.{asked}"
    for asked in (
        *("size", "sym_size", "stride", "sym_stride", "storage_offset", "sym_storage_offset", "numel", "sym_numel"),
        *("dim", "is_contiguous", "sym_is_contiguous", "is_strides_like_format", "is_non_overlapping_and_dense"),
    )
)
"""What only tensors of special kinds, which answer themselves, pass on."""


class _Counter(TorchDispatchMode):
    """Prices every operation below autograd; those that torch composes of others count as these."""

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.macs = 0
        self.by_operation: Counter[str] = Counter()
        self.unpriced: Counter[tuple[str, Shapes]] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not isinstance(func, torch._ops.OpOverload):  # control flow, compiled kernels: nothing to look into
            return self._ran(str(func), None, func(*args, **kwargs), args, kwargs)
        name = str(func.overloadpacket)
        if name in _QUESTIONS:
            return NotImplemented
        if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"):
            with self:  # outside autograd, as in inference mode, what is composed of operations comes whole
                return func.decompose(*args, **kwargs)
        out = func(*args, **kwargs)
        cost = price(func, name, Call(_by_name(func, args, kwargs), out))
        return self._ran(name, cost, out, args, kwargs)

    def _ran(self, name: str, cost: Cost | None, out: Any, args: Any, kwargs: Any) -> Any:
        if cost is None:
            tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
            self.unpriced[name, tuple(tuple(tensor.shape) for tensor in tensors)] += 1
        else:
            self.macs += cost.macs
            self.by_operation[name] += cost.flops
        return out


def _by_name(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call by the names of the operation's schema, in its order, defaults filled in."""
    schema = func._schema.arguments
    given = {argument.name: value for argument, value in zip(schema, args, strict=False)} | kwargs
    return {argument.name: given.get(argument.name, argument.default_value) for argument in schema}


@contextmanager
def _no_fused_transformers() -> Iterator[None]:
    """nn.MultiheadAttention and nn.TransformerEncoder run as operations of their own, not as one."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
