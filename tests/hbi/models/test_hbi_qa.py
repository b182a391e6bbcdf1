"""The model for questions: what is pooled, what is learned, which levels answer."""

import pytest
import torch

from hbi.config import HBIQAConfig
from hbi.models import build
from hbi.models.hbi_qa import AnswerHead
from tests.random_batch import batch_of


def small(seed=0, **options):
    sizes = {"encoder": "tiny", "temporal_layers": 1, "answers": 5, "head_width": 8}
    return build(HBIQAConfig(**{**sizes, **options}), seed)


def answers(model, batch):
    model.eval()
    with torch.no_grad():
        return model.answers(
            model.encode_text(batch.token_ids, batch.text_mask), model.encode_video(batch.frames, batch.video_mask)
        )


def test_every_question_gets_a_logit_for_every_answer():
    assert answers(small(), batch_of(6)).shape == (6, 5)
    assert answers(
        small(levels=("action",), similarity_rates={"action": 1.0}, distillation_weight=0), batch_of(4)
    ).shape == (4, 5)


def test_an_answer_does_not_depend_on_the_other_questions_of_the_block():
    model, batch = small(), batch_of(6)
    whole = answers(model, batch)
    for n in range(6):
        alone = type(batch)(*(tensor[n : n + 1] for tensor in vars(batch).values()))
        torch.testing.assert_close(answers(model, alone)[0], whole[n], rtol=1e-4, atol=1e-5)


def test_padding_has_no_weight_in_the_pooling_unless_as_published():
    head = AnswerHead(width=4, head_width=3, answers=5, dropout=0.0)
    tokens, mask = torch.randn(2, 6, 4), torch.arange(6) < torch.tensor([[6], [2]])
    other = torch.where(mask[:, :, None], tokens, 9.0)
    cropped = head.pool("text", tokens[1:, :2], mask[1:, :2], padding=False)
    torch.testing.assert_close(head.pool("text", tokens, mask, padding=False)[1:], cropped)
    torch.testing.assert_close(head.pool("text", other, mask, padding=False)[1:], cropped)
    assert not torch.allclose(head.pool("text", tokens, mask, padding=True)[1:], cropped)


def test_questions_without_a_label_teach_no_answer():
    model, batch = small(alignment_weight=0.0, distillation_weight=0.0), batch_of(6)
    batch.answer = torch.full((6,), -1)
    losses = model.losses(batch)
    assert losses["total"] == 0
    losses["total"].backward()
    batch.answer[2] = 3
    again = small(alignment_weight=0.0, distillation_weight=0.0).eval()
    alone = type(batch)(*(tensor[2:3] for tensor in vars(batch).values()))
    torch.testing.assert_close(again.losses(batch)["answer/entity"], again.losses(alone)["answer/entity"])


def test_terms_add_up_with_their_weights():
    model = small(alignment_weight=0.25, distillation_weight=0.5, dropout=0.0)
    losses = {name: value.item() for name, value in model.losses(batch_of(6)).items()}
    parts = {
        kind: sum(value for name, value in losses.items() if name.startswith(kind))
        for kind in ("answer", "contrastive", "banzhaf", "distillation")
    }
    expected = parts["answer"] + 0.25 * (parts["contrastive"] + 0.1 * parts["banzhaf"]) + 0.5 * parts["distillation"]
    assert losses["total"] == pytest.approx(expected, rel=1e-5)


def test_levels_that_do_not_answer_are_not_computed_in_evaluation():
    model = small(answer_rates={"entity": 1.0}).eval()
    batch = batch_of(4)
    names = model.encode_text(batch.token_ids, batch.text_mask).tensors
    assert {name.split("/")[0] for name in names} == {"entity"}


def test_it_learns_to_answer():
    torch.manual_seed(0)
    model, batch = small(dropout=0.0).train(), batch_of(6)
    known = batch.answer >= 0
    adam = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(30):
        adam.zero_grad()
        model.losses(batch)["total"].backward()
        adam.step()
    assert (answers(model, batch).argmax(-1) == batch.answer)[known].all()


def test_rates_of_levels_that_are_not_trained_are_refused_when_none_is_left():
    with pytest.raises(ValueError, match="answer_rates: at least one level"):
        small(levels=("action",), similarity_rates={"action": 1.0}, distillation_weight=0, answer_rates={"entity": 1.0})
