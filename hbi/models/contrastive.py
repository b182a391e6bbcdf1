"""Contrastive loss and self-distillation over a batch of matching pairs."""

import torch
from torch import Tensor
from torch.nn import functional as F

from hbi.config import Choice


def contrastive(logits: Tensor, same: Tensor, choice: Choice = "correct") -> Tensor:
    """InfoNCE both ways, logits [B,B]; pairs that are the same (equal numbers in ``same`` [B], such as captions of one
    video) share their positives, or, "released", are each other's negatives."""
    if choice == "released":
        same = torch.arange(len(same), device=same.device)
    positive = (same[:, None] == same[None, :]).to(logits.dtype)
    target = positive / positive.sum(-1, keepdim=True)  # symmetric: the sums over rows and columns agree
    text_to_video = -(target * logits.log_softmax(-1)).sum(-1)
    video_to_text = -(target * logits.mT.log_softmax(-1)).sum(-1)
    return (text_to_video.mean() + video_to_text.mean()) / 2


def distillation(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(teacher ‖ student) of both directions' softmax over the batch, mean over queries; no gradient to the teacher.

    Both are logits [B,B]: the published loss leaves the logit scale out, which makes it vanish.
    """
    return divergence(student, teacher) + divergence(student.mT, teacher.mT)


def released_distillation(student: Tensor, teacher: Tensor) -> Tensor:
    """The same as published: of cosines [B,B], not logits; mean over all B·B cells; with gradient to the teacher."""
    return released_divergence(student, teacher) + released_divergence(student.mT, teacher.mT)


def divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(teacher ‖ student) of the softmax over the last axis, mean over rows [B,K]; the teacher has no gradient."""
    return F.kl_div(student.log_softmax(-1), teacher.detach().log_softmax(-1), reduction="batchmean", log_target=True)


def released_divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """The same with the mean over all cells, and gradient to the teacher."""
    return F.kl_div(student.log_softmax(-1), teacher.log_softmax(-1), reduction="none", log_target=True).mean()
