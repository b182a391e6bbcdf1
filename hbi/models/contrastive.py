"""Contrastive loss and self-distillation over a batch of matching pairs."""

import torch
from torch import Tensor


def contrastive(logits: Tensor, video_index: Tensor) -> Tensor:
    """InfoNCE both ways, logits [B,B]; captions of one video (equal ``video_index`` [B]) share their positives."""
    positive = (video_index[:, None] == video_index[None, :]).to(logits.dtype)
    target = positive / positive.sum(-1, keepdim=True)  # symmetric: the sums over rows and columns agree
    text_to_video = -(target * logits.log_softmax(-1)).sum(-1)
    video_to_text = -(target * logits.mT.log_softmax(-1)).sum(-1)
    return (text_to_video.mean() + video_to_text.mean()) / 2


def distillation(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(teacher ‖ student) of both directions' softmax over the batch, mean over queries; no gradient to the teacher.

    Both are logits [B,B]: the published loss leaves the logit scale out, which makes it vanish.
    """
    teacher = teacher.detach()
    return _divergence(student, teacher) + _divergence(student.mT, teacher.mT)


def _divergence(student: Tensor, teacher: Tensor) -> Tensor:
    target = teacher.log_softmax(-1)
    return torch.nn.functional.kl_div(student.log_softmax(-1), target, reduction="batchmean", log_target=True)
