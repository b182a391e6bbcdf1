"""What one operation of torch costs, by its name and shapes.

The convention, for every operation alike:

* A product of matrices, a convolution or a recurrence is counted in MACs, of two FLOPs each; padding counts as data.
* Element-wise arithmetic, comparisons, logic and elementary functions (exp, log, √, tanh, sigmoid …): 1 FLOP an element
  that comes out. What is composed of several of them costs their number (softmax 5, layer norm 7, GELU 5).
* Reductions (sum, maximum …): 1 FLOP an element that goes in; a sort n log₂ n comparisons.
* Views, copies, indexing, selection by a mask, conversion, creation, random draws: 0.

An attention, a recurrence or a distance that one kernel computes costs what its definition costs, so that a count is
the same on every device: what a kernel computes twice, to save memory, is counted once.

Names and arguments are those of ATen's schemas (pytorch: aten/src/ATen/native/native_functions.yaml).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Cost(NamedTuple):
    """Of one operation: multiply-accumulates, and the FLOPs that are not part of one."""

    macs: int = 0
    other: int = 0

    @property
    def flops(self) -> int:
        return 2 * self.macs + self.other


@dataclass(frozen=True)
class Call:
    """An operation with its arguments by name, defaults filled in, and what it returned."""

    arguments: dict[str, Any]
    out: Any

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    @property
    def first(self) -> Any:
        """The first argument: what an operation reduces, sorts, or writes into."""
        return next(iter(self.arguments.values()))

    @property
    def result(self) -> Any:
        """What it returned; of several the first."""
        return self.out[0] if isinstance(self.out, tuple) else self.out


Formula = Callable[[Call], Cost]

FREE = Cost()


def price(operation: Any, name: str, call: Call) -> Cost | None:
    """What ``call`` of an ``operation`` costs that is called ``name``, as in "aten.mm"; None: it has no formula."""
    namespace, _, own = name.partition(".")
    if namespace in ("profiler", "prim"):  # record_function, the device of a tensor …
        return FREE
    if namespace != "aten":
        return None
    own = own.removesuffix("_")  # add_ costs what add does
    if own in FORMULAS:
        return FORMULAS[own](call)
    if own in MOVES or operation.is_view or torch.Tag.inplace_view in operation.tags:
        return FREE
    if own.startswith("_foreach_"):
        return _on_each_of_a_list(own.removeprefix("_foreach_"), call)
    if torch.Tag.pointwise in operation.tags:
        return Cost(other=elements(call.out))
    return None


def _on_each_of_a_list(own: str, call: Call) -> Cost | None:
    """The operation ``own`` on every tensor of a list, as optimisers have it."""
    if own in MOVES:
        return FREE
    each = PER_INPUT.get(own, PER_OUTPUT.get(own, 1))
    return Cost(other=each * elements(call.first)) if hasattr(torch.ops.aten, own) else None


def elements(value: Any) -> int:
    """Elements of a tensor, or of all tensors in a list."""
    if isinstance(value, Tensor):
        return value.numel()
    return sum(map(elements, value)) if isinstance(value, list | tuple) else 0


# ---- products of matrices -------------------------------------------------------------------------------------------


def _product(left: str, added: str = "") -> Formula:
    """[.., m, k] × [.., k, n]; ``left`` names the argument whose last axis is k, ``added`` what may be added to it."""

    def formula(call: Call) -> Cost:
        adds = call.arguments.get(added) is not None
        return Cost(call.out.numel() * call[left].shape[-1], call.out.numel() * adds)

    return formula


def _summed_products(call: Call) -> Cost:
    """addbmm: Σ_b [b, n, m] × [b, m, p], added to [n, p]."""
    b, _, m = call["batch1"].shape
    return Cost(call.out.numel() * b * m, call.out.numel())


def _outer_product(call: Call) -> Cost:
    """addr: [n] × [m], added to [n, m]."""
    return Cost(call.out.numel())


def _activated_product(call: Call) -> Cost:
    """_addmm_activation: GELU or ReLU of addmm."""
    activation = PER_OUTPUT["gelu"] if call["use_gelu"] else 1
    return Cost(call.out.numel() * call["mat1"].shape[-1], call.out.numel() * (1 + activation))


# ---- convolution ----------------------------------------------------------------------------------------------------


def _convolution(call: Call) -> Cost:
    """input [N, C, ..], weight [O, C/groups, ..]: each place that comes out (transposed: goes in) meets all weights."""
    places = call["input"] if call["transposed"] else call.out
    return Cost(_meetings(places, call["weight"]), call.out.numel() * (call["bias"] is not None))


def _convolution_backward(call: Call) -> Cost:
    """The gradient by the input costs what the convolution does, and so does that by the weight."""
    places = call["input"] if call["transposed"] else call["grad_output"]
    by_input, by_weight, by_bias = call["output_mask"]
    macs = (by_input + by_weight) * _meetings(places, call["weight"])
    return Cost(macs, by_bias * call["grad_output"].numel())


def _meetings(places: Tensor, weight: Tensor) -> int:
    """MACs: samples · places · weights."""
    return places.shape[0] * places.shape[2:].numel() * weight.numel()


# ---- attention ------------------------------------------------------------------------------------------------------


def _attention(call: Call) -> Cost:
    """softmax(QKᵀ · scale + bias) V; query [.., S, E], key [.., T, E], value [.., T, V]. Both factors are multiplied
    by √scale, as in torch's definition (aten::_scaled_dot_product_attention_math)."""
    scores, width, scaled = _scores(call)
    biased = call["is_causal"] or any(call.arguments.get(name) is not None for name in ("attn_mask", "attn_bias"))
    return Cost(scores * width, scaled + (PER_OUTPUT["_softmax"] + biased) * scores)


def _attention_backward(call: Call) -> Cost:
    """Twice the products of the forward pass; a kernel computes the scores once more, which is not counted."""
    scores, width, scaled = _scores(call)
    return Cost(2 * scores * width, scaled + PER_OUTPUT["_softmax_backward_data"] * scores)


def _scores(call: Call) -> tuple[int, int, int]:
    """How many scores there are, the MACs of each in both products, and how many numbers are scaled (keys of grouped
    heads once for every head of the query)."""
    query, key, value = call["query"], call["key"], call["value"]
    scaled = query.numel() + query.shape[:-2].numel() * key.shape[-2:].numel()
    return query.shape[:-1].numel() * key.shape[-2], query.shape[-1] + value.shape[-1], scaled


# ---- recurrence -----------------------------------------------------------------------------------------------------

RECURRENT = {0: 2, 1: 2, 2: 13, 3: 10}
"""By mode (0 and 1: relu and tanh, 2: LSTM, 3: GRU): FLOPs of a hidden unit and step beside the products. An LSTM adds
the parts of input and state (4), takes sigmoids and tanh of them (4), c = f·c + i·g (3) and h = o·tanh c (2)."""


def _recurrence(call: Call, weights: list[Tensor], units: int) -> Cost:
    """Every step of every sample meets all ``weights``: matrices [gates·H, ·] and biases [gates·H] of all layers and
    directions, which have ``units`` hidden units in sum.

    An LSTM of one layer: 4H (I + H) MACs a step.
    """
    steps = call["input"].shape[:-1].numel()
    matrices = elements([weight for weight in weights if weight.ndim == 2])
    return Cost(steps * matrices, steps * (elements(weights) - matrices + RECURRENT[call["mode"]] * units))


def _mkldnn_rnn(call: Call) -> Cost:
    """One layer in one direction; its weights are called 0 to 3, and 1 to 4 in the backward pass."""
    weights = [value for name, value in call.arguments.items() if name.startswith("weight")]
    return _recurrence(call, weights if call["has_biases"] else weights[:2], call["hidden_size"])


def _cudnn_rnn(call: Call) -> Cost:
    return _recurrence(call, call["weight"], call["hidden_size"] * call["num_layers"] * (1 + call["bidirectional"]))


def _twice(forward: Formula) -> Formula:
    """A backward pass: the gradient by what went in, and by the weights."""

    def formula(call: Call) -> Cost:
        macs, other = forward(call)
        return Cost(2 * macs, 2 * other)

    return formula


def _fused_cell(mode: int, state: str) -> Formula:
    """What a step does beside its products, which are operations of their own; ``state`` names an argument [.., H]."""

    def formula(call: Call) -> Cost:
        gates = elements([call["input_gates"], call["hidden_gates"]])
        return Cost(other=RECURRENT[mode] * call[state].numel() + gates * (call["input_bias"] is not None))

    return formula


def _fused_cell_backward(mode: int, state: str) -> Formula:
    return lambda call: Cost(other=2 * RECURRENT[mode] * call[state].numel())


# ---- distances ------------------------------------------------------------------------------------------------------


def _distances(call: Call) -> Cost:
    """_cdist_forward, x1 [.., P, D], x2 [.., R, D] → [.., P, R]: in every dimension a difference, its power (the
    absolute value first, where the power is not a square) and a sum; then a root."""
    p = call["p"]
    return Cost(other=call.out.numel() * (_steps(p) * call["x1"].shape[-1] + (p not in (0, 1, math.inf))))


def _distances_backward(call: Call) -> Cost:
    """_cdist_backward: in every dimension as many as forward, and a quotient for every pair."""
    return Cost(other=call["cdist"].numel() * (_steps(call["p"]) * call["x1"].shape[-1] + 1))


def _steps(p: float) -> int:
    return 3 if p in (0, 1, 2, math.inf) else 4


def _distances_by_products(call: Call) -> Cost:
    """_euclidean_dist: √(−2 x·y + |x|² + |y|²) as one product, of [P, D+2] and [D+2, R]; clamped at 0."""
    x, y, pairs = call["x1"], call["x2"], call.out.numel()
    return Cost(pairs * (x.shape[-1] + 2), 3 * x.numel() + 2 * y.numel() + 2 * pairs)


# ---- normalisation --------------------------------------------------------------------------------------------------


def _normalisation(own: int) -> Formula:
    """``own`` FLOPs an element, scale and shift where they are learned. 5: mean, difference, square, mean, product
    with 1/σ. 3: the same without the mean. 2: mean and variance are known."""
    return lambda call: Cost(other=(own + _learned(call)) * call["input"].numel())


def _batch_normalisation(call: Call) -> Cost:
    return _normalisation(5 if call["training"] else 2)(call)


def _learned(call: Call) -> int:
    return sum(call.arguments.get(name) is not None for name in ("weight", "bias"))


def _normalisation_backward(call: Call) -> Cost:
    """With g = γ·grad: dx = (g − mean g − x̂ · mean(g·x̂)) / σ, 10 an element; dγ = Σ grad·x̂, 2; dβ = Σ grad, 1."""
    each = sum(flops for flops, asked in zip((10, 2, 1), call["output_mask"], strict=False) if asked)
    return Cost(other=each * call.first.numel())


# ---- order, accumulation, pooling -----------------------------------------------------------------------------------


def _sort(call: Call) -> Cost:
    """n log₂ n comparisons of every row of n."""
    return _comparisons(call, None)


def _select(call: Call) -> Cost:
    """The best k of n: n log₂ k comparisons; the best one: n."""
    return _comparisons(call, call["k"])


def _comparisons(call: Call, k: int | None) -> Cost:
    x, dim = call.first, call.arguments.get("dim")
    n = x.numel() if dim is None or not x.ndim else x.shape[dim]
    if n < 2:
        return FREE
    return Cost(other=x.numel() // n * round(n * math.log2(n if k is None else max(k, 2))))


def _search(boundaries: str) -> Formula:
    """log₂ of the number of ``boundaries``, for every value."""
    return lambda call: Cost(other=elements(call.out) * math.ceil(math.log2(max(call[boundaries].shape[-1], 2))))


def _accumulated(source: str) -> Formula:
    """A sum at places that indices say: 1 FLOP for every element that is added."""
    return lambda call: Cost(other=elements(call[source]))


def _put(call: Call) -> Cost:
    """index_put: a copy, or a sum."""
    return Cost(other=elements(call["values"])) if call["accumulate"] else FREE


def _pooling(call: Call) -> Cost:
    """A maximum or mean of windows: 1 FLOP for every element of each."""
    windows, kernel = call.arguments.get("grad_output", call.result), call["kernel_size"]
    return Cost(other=windows.numel() * (kernel[0] ** 2 if len(kernel) == 1 else math.prod(kernel)))


def _gelu(call: Call) -> Cost:
    """x · ½(1 + erf(x/√2)): 5; with tanh, x · ½(1 + tanh(√(2/π)(x + 0.044715 x³))): 9."""
    return Cost(other=(9 if call["approximate"] == "tanh" else PER_OUTPUT["gelu"]) * call.out.numel())


# ---- the tables -----------------------------------------------------------------------------------------------------

PER_OUTPUT: Mapping[str, int] = {
    # composed of several element-wise operations; others that torch tags as pointwise cost 1
    "_prelu_kernel": 2,
    "_prelu_kernel_backward": 3,
    "addcdiv": 2,
    "addcmul": 2,
    "elu": 3,
    "elu_backward": 3,
    "floor_divide": 1,
    "gelu": 5,
    "gelu_backward": 11,
    "glu": 2,
    "glu_backward": 4,
    "hardsigmoid": 3,
    "hardswish": 4,
    "hardswish_backward": 4,
    "leaky_relu": 2,
    "leaky_relu_backward": 2,
    "lerp": 3,
    "log_sigmoid_backward": 4,
    "log_sigmoid_forward": 3,
    "logaddexp": 4,
    "logit": 3,
    "mish": 4,
    "native_dropout": 2,
    "native_dropout_backward": 2,
    "sigmoid_backward": 3,
    "silu": 2,
    "silu_backward": 6,
    "softplus": 3,
    "softplus_backward": 4,
    "tanh_backward": 3,
    "xlogy": 2,
    # maximum, difference, exp, sum, quotient or difference of the logarithm; and their gradients
    "_softmax": 5,
    "_safe_softmax": 5,
    "_log_softmax": 5,
    "_softmax_backward_data": 4,
    "_log_softmax_backward_data": 4,
}
"""FLOPs for every element that comes out (of the first output, where there are several)."""

PER_INPUT: Mapping[str, int] = {
    **dict.fromkeys(("sum", "nansum", "mean", "prod", "cumsum", "cumprod", "cummax", "cummin", "trace"), 1),
    **dict.fromkeys(("amax", "amin", "max", "min", "argmax", "argmin", "all", "any", "equal"), 1),
    **dict.fromkeys(("count_nonzero", "bincount", "histc", "embedding_dense_backward", "unfold_backward", "col2im"), 1),
    **dict.fromkeys(("_adaptive_avg_pool2d", "_adaptive_avg_pool2d_backward", "max_pool2d_with_indices_backward"), 1),
    **dict.fromkeys(("aminmax", "norm", "linalg_vector_norm", "_amp_foreach_non_finite_check_and_unscale"), 2),
    **dict.fromkeys(("logcumsumexp", "mse_loss", "mse_loss_backward"), 3),
    **dict.fromkeys(("logsumexp", "var", "std", "var_mean", "std_mean"), 4),
    **dict.fromkeys(("smooth_l1_loss", "huber_loss"), 5),
    "binary_cross_entropy_with_logits": 7,
    **dict.fromkeys(("_fused_adam", "_fused_adamw"), 12),  # decay 1, both means 6, root, quotient, sum, step 2
}
"""FLOPs for every element of the first argument."""


def _per_output(each: int) -> Formula:
    return lambda call: Cost(other=each * elements(call.result))


def _per_input(each: int) -> Formula:
    return lambda call: Cost(other=each * elements(call.first))


FORMULAS: Mapping[str, Formula] = {
    **{name: _per_output(each) for name, each in PER_OUTPUT.items()},
    **{name: _per_input(each) for name, each in PER_INPUT.items()},
    "gelu": _gelu,
    # products
    **dict.fromkeys(("mm", "bmm", "mv", "dot", "vdot", "_int_mm"), _product("self")),
    "_scaled_mm": _product("self", "bias"),
    "linear": _product("input", "bias"),
    "addmm": _product("mat1", "self"),
    "baddbmm": _product("batch1", "self"),
    "addmv": _product("mat", "self"),
    "addbmm": _summed_products,
    "addr": _outer_product,
    "_addmm_activation": _activated_product,
    # convolution
    "convolution": _convolution,
    "convolution_overrideable": _convolution,
    "convolution_backward": _convolution_backward,
    "convolution_backward_overrideable": _convolution_backward,
    # attention
    "_scaled_dot_product_flash_attention": _attention,
    "_scaled_dot_product_flash_attention_backward": _attention_backward,
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
    "_scaled_dot_product_flash_attention_for_cpu_backward": _attention_backward,
    "_scaled_dot_product_efficient_attention": _attention,
    "_scaled_dot_product_efficient_attention_backward": _attention_backward,
    "_scaled_dot_product_cudnn_attention": _attention,
    "_scaled_dot_product_cudnn_attention_backward": _attention_backward,
    "_scaled_dot_product_fused_attention_overrideable": _attention,
    "_scaled_dot_product_fused_attention_overrideable_backward": _attention_backward,
    # recurrence
    "mkldnn_rnn_layer": _mkldnn_rnn,
    "mkldnn_rnn_layer_backward": _twice(_mkldnn_rnn),
    "_cudnn_rnn": _cudnn_rnn,
    "_cudnn_rnn_backward": _twice(_cudnn_rnn),
    "_thnn_fused_lstm_cell": _fused_cell(2, "cx"),
    "_thnn_fused_lstm_cell_backward_impl": _fused_cell_backward(2, "cx"),
    "_thnn_fused_gru_cell": _fused_cell(3, "hx"),
    "_thnn_fused_gru_cell_backward": _fused_cell_backward(3, "grad_hy"),
    # distances
    "_cdist_forward": _distances,
    "_cdist_backward": _distances_backward,
    "_euclidean_dist": _distances_by_products,
    # normalisation
    **dict.fromkeys(("native_layer_norm", "native_group_norm"), _normalisation(5)),
    **dict.fromkeys(("native_batch_norm", "_native_batch_norm_legit", "cudnn_batch_norm"), _batch_normalisation),
    "_native_batch_norm_legit_no_training": _normalisation(2),
    "_fused_rms_norm": _normalisation(3),
    "native_layer_norm_backward": _normalisation_backward,
    "native_group_norm_backward": _normalisation_backward,
    "native_batch_norm_backward": _normalisation_backward,
    "_fused_rms_norm_backward": _normalisation_backward,
    "cudnn_batch_norm_backward": _per_input(13),
    # order
    **dict.fromkeys(("sort", "msort", "median", "nanmedian", "kthvalue", "mode", "_unique2", "unique_dim"), _sort),
    "topk": _select,
    "searchsorted": _search("sorted_sequence"),
    "bucketize": _search("boundaries"),
    # accumulation
    "index_add": _accumulated("source"),
    "scatter_add": _accumulated("src"),
    "scatter_reduce": _accumulated("src"),
    "nll_loss_forward": _accumulated("target"),
    "nll_loss2d_forward": _accumulated("target"),
    "index_put": _put,
    "_index_put_impl": _put,
    # pooling
    **dict.fromkeys(("avg_pool2d", "avg_pool2d_backward", "max_pool2d_with_indices"), _pooling),
}
"""By ATen's name, without the underscore of the form that writes in place."""

MOVES = frozenset(
    (
        # copies, conversion, joining, padding
        *("clone", "copy", "_to_copy", "_unsafe_view", "_reshape_alias", "_reshape_copy", "contiguous", "cat", "stack"),
        *("repeat", "repeat_interleave", "constant_pad_nd", "roll", "flip", "rot90", "tril", "triu", "_pin_memory"),
        *("unsafe_split", "unsafe_split_with_sizes", "unsafe_chunk", "pixel_shuffle", "pixel_unshuffle", "im2col"),
        *("channel_shuffle", "diag_embed", "reflection_pad1d", "reflection_pad2d"),
        *("replication_pad1d", "replication_pad2d", "complex", "_pack_padded_sequence"),
        # creation
        *("empty", "empty_like", "empty_strided", "empty_permuted", "zeros", "zeros_like", "ones", "ones_like", "full"),
        *("full_like", "new_empty", "new_empty_strided", "new_zeros", "new_ones", "new_full", "arange", "linspace"),
        *("logspace", "eye", "scalar_tensor", "lift", "lift_fresh", "fill", "zero", "_efficientzerotensor"),
        *("tril_indices", "triu_indices"),
        # indexing, and selection by a mask
        *("index", "_unsafe_index", "_unsafe_masked_index", "index_select", "index_fill", "index_copy", "gather"),
        *("scatter", "take", "put", "where", "masked_fill", "masked_scatter", "masked_select", "nonzero", "embedding"),
        *("nonzero_static", "slice_scatter", "select_scatter", "diagonal_scatter", "as_strided_scatter"),
        # gradients of views, and of what is indexed where nothing meets
        *("select_backward", "slice_backward", "diagonal_backward", "nll_loss_backward", "nll_loss2d_backward"),
        *("trace_backward", "value_selecting_reduction_backward", "masked_scatter_backward"),
        # random draws
        *("rand", "rand_like", "randn", "randn_like", "randint", "randint_like", "randperm", "bernoulli", "normal"),
        *("uniform", "random", "exponential", "multinomial", "poisson"),
        # questions about a tensor, and its storage
        *("_local_scalar_dense", "is_same_size", "is_pinned", "_fused_sdp_choice", "_linalg_check_errors"),
        *("set", "resize", "resize_as", "record_stream", "_assert_async", "_assert_scalar", "_assert_tensor_metadata"),
        *("_has_compatible_shallow_copy_type", "_cudnn_rnn_flatten_weight", "_use_cudnn_rnn_flatten_weight"),
        *("_version", "_amp_update_scale"),
    )
)
"""Operations that move or make data and compute nothing: 0 FLOPs."""
