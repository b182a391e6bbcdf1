"""The recipe of training, the protocol of evaluation, and where a run computes."""

from typing import Annotated, Literal

from pydantic import Field

from hbi.config.base import Choice, Config


class TrainingConfig(Config):
    """The recipe of training. Defaults are those published for MSR-VTT."""

    epochs: int = Field(
        5, ge=0, description="Passes over the training pairs; 0: the model is evaluated as it starts, zero-shot."
    )
    batch_size: int = Field(128, ge=2, description="Pairs a step; each is contrasted with all others of the step.")
    accumulation: int = Field(
        1, ge=1, description="Parts a step's batch is encoded in; the loss is still that of the whole batch."
    )
    optimiser: Literal["adamw", "bertadam"] = Field(
        "adamw",
        description="AdamW, no decay on norms; or the published BertAdam: no bias correction, decay on all but biases.",
    )
    schedule: Choice = Field(
        "correct",
        description="A cosine from the end of the warm-up to that of the run; or the published one: 5 epochs long "
        "whatever epochs is, not rescaled after the warm-up, its first step at rate 0.",
    )
    lr: float = Field(1e-4, gt=0, description="Peak learning rate of everything but the encoder.")
    coef_lr: float = Field(1e-3, gt=0, description="The encoder's learning rate is lr times this.")
    weight_decay: float = Field(0.2, ge=0, description="Of matrices (AdamW), or of all but biases (BertAdam).")
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = Field(
        (0.9, 0.98), description="Decay rates of the two moments."
    )
    warmup: float = Field(0.1, ge=0, lt=1, description="Share of all steps with a rising rate; a cosine follows.")
    clip_norm: float = Field(1.0, gt=0, description="Largest norm of the gradient.")
    max_logit_scale: float = Field(100.0, gt=0, description="Clamp of exp(logit scale).")
    precision: Literal["fp32", "bf16", "fp16", "released"] = Field(
        "fp32",
        description="Of the encoder's arithmetic (autocast); weights, losses and games stay in fp32. released: on a "
        "GPU the encoder's weights and their moments are fp16, without loss scaling; on a CPU fp32.",
    )
    activation_checkpointing: bool = Field(False, description="Recompute the encoder's activations to save memory.")
    selection: Literal["last", "validation", "test"] = Field(
        "last",
        description="Weights that are kept and evaluated: the last, or those of the best t2v R@1, or accuracy, on a "
        "split (test: marked in tables).",
    )
    select_every: int | None = Field(
        None, ge=1, description="Steps between looks at that split; none: after every epoch. The end is always seen."
    )


DUAL_SOFTMAX_SCALE = 100.0
"""CLIP's largest logit scale: right for cosines. Published code varies; where the scores are logits it is 1."""
INVERTED_SOFTMAX_SCALE = 20.0
"""The inverse temperature of QB-Norm's paper, for cosines."""


class EvaluationConfig(Config):
    """The protocol of evaluation."""

    ties: Literal["expected", "optimistic", "pessimistic", "released"] = Field(
        "expected",
        description="Rank of a tied candidate: its mean over all orders, the best, or the worst. released: one rank "
        "for each of those tied, so that a query counts as often.",
    )
    post_processing: Literal["none", "dsl", "qb-norm"] = Field(
        "none",
        description="Of retrieval's scores, before ranks: dsl, times their softmax over all test queries; qb-norm, the "
        "dynamic inverted softmax with a bank of training queries. Trains nothing: the weights are those of the run "
        "without it.",
    )
    dsl_scale: float = Field(DUAL_SOFTMAX_SCALE, gt=0, description="Factor on the scores in the softmax of dsl.")
    qb_norm_scale: float = Field(
        INVERTED_SOFTMAX_SCALE, gt=0, description="Factor on the scores in the inverted softmax of qb-norm."
    )
    qb_norm_nearest: int = Field(
        1, ge=1, description="Best candidates of a query of the bank that qb-norm counts for it, to find hubs."
    )
    qb_norm_hub: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = Field(
        (1, 1),
        description="Queries of the bank, captions (t2v) and videos (v2t), that a candidate is to be counted for to be "
        "a hub; only queries whose best candidate is a hub are changed by qb-norm.",
    )
    bank: int = Field(
        5000,
        ge=1,
        description="Training pairs, drawn by the seed, whose captions and videos are the bank of qb-norm; all, where "
        "there are fewer.",
    )


class RuntimeConfig(Config):
    """Where and with what a run computes."""

    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto takes a GPU where there is one; its id does not say which."
    )
    threads: int = Field(2, ge=1, description="CPU threads of torch; they change the rounding, so they are in the id.")
    workers: int = Field(
        0, ge=0, description="Processes that decode video, for each that trains; they do not change the result."
    )
    processes: int = Field(
        1,
        ge=1,
        description="Processes of this machine, with a GPU each or on its CPU, that a training is spread over; they "
        "change the rounding, so they are in the id.",
    )
