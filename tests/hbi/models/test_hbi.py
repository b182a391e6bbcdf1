"""The HBI model: the corrected losses, merging, options, and what is computed when."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hbi.config import HBIConfig, TeacherConfig
from hbi.errors import InputError
from hbi.games.estimator import BanzhafEstimator
from hbi.models import build
from hbi.models.banzhaf_loss import interaction_divergence
from hbi.models.contrastive import contrastive, distillation
from hbi.models.encoder import encoder_sizes
from hbi.models.token_merge import TokenMerge, cluster
from tests.random_batch import batch_of


def small(**options):
    return build(HBIConfig(encoder="tiny", temporal_layers=1, **options))


# ---- token merging


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 9), st.integers(1, 5), st.integers(0, 10**6))
def test_clusters_do_not_depend_on_padding(valid, clusters, seed):
    draw = torch.Generator().manual_seed(seed)
    tokens = torch.randn(2, 12, 8, generator=draw)
    tokens[:, 1] = tokens[:, 0]  # duplicates tie
    mask = (torch.arange(12) < valid).expand(2, -1)
    assignment, exists = cluster(tokens, mask, clusters, neighbours=3)
    alone, exists_alone = cluster(tokens[:, :valid], mask[:, :valid], clusters, neighbours=3)
    assert torch.equal(assignment[:, :valid], alone)
    assert exists.sum(-1).tolist() == [min(valid, clusters)] * 2
    assert torch.equal(exists[:, : exists_alone.shape[1]], exists_alone)
    for members, real in zip(alone, exists_alone, strict=True):
        assert set(members.tolist()) == set(range(int(real.sum())))  # no cluster is empty


def test_well_separated_groups_are_found():
    groups = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    member = torch.tensor([0, 1, 2] * 3)
    tokens = groups[member] + 0.1 * torch.randn(9, 2, generator=torch.Generator().manual_seed(0))
    (assignment,), _ = cluster(tokens[None], torch.ones(1, 9, dtype=torch.bool), 3, neighbours=3)
    assert len(set(zip(member.tolist(), assignment.tolist(), strict=True))) == 3


def test_merging_few_tokens_into_more_clusters_leaves_the_rest_absent():
    merge = TokenMerge(width=16, heads=2, rate=0.5, neighbours=3)
    merged, exists = merge(torch.randn(2, 8, 16), torch.arange(8) < torch.tensor([[2], [8]]))
    assert exists.tolist() == [[True, True, False, False], [True] * 4]
    assert (merged[~exists] == 0).all()


# ---- losses


def test_captions_of_one_video_are_no_negatives_of_each_other():
    logits = torch.randn(4, 4)
    alone = contrastive(logits, torch.arange(4))
    torch.testing.assert_close(
        alone,
        (
            torch.nn.functional.cross_entropy(logits, torch.arange(4))
            + torch.nn.functional.cross_entropy(logits.T, torch.arange(4))
        )
        / 2,
    )
    perfect = torch.tensor([[9.0, 9, -9], [9, 9, -9], [-9, -9, 9]], requires_grad=True)
    (pull,) = torch.autograd.grad(contrastive(perfect, torch.tensor([5, 5, 7])), perfect)
    (tear,) = torch.autograd.grad(contrastive(perfect, torch.tensor([5, 6, 7])), perfect)
    assert pull.abs().max() < 1e-6  # nothing left to learn
    assert tear.abs().max() > 0.1


def test_distillation_moves_the_student_alone():
    student, teacher = (torch.randn(3, 3, requires_grad=True) for _ in range(2))
    distillation(student, teacher).backward()
    assert student.grad is not None
    assert teacher.grad is None
    assert distillation(teacher, teacher).item() == pytest.approx(0, abs=1e-6)


def test_divergence_ignores_padded_cells_and_vanishes_at_the_teacher():
    teacher, student = torch.randn(2, 5, 4), torch.randn(2, 5, 4)
    words, frames = torch.arange(5) < torch.tensor([[3], [5]]), torch.arange(4) < torch.tensor([[4], [1]])
    cells = words[:, :, None] & frames[:, None, :]
    value = interaction_divergence(student, teacher, cells)
    garbage = student.masked_fill(~cells, 1e4), teacher.masked_fill(~cells, -1e4)
    torch.testing.assert_close(interaction_divergence(*garbage, cells), value)
    assert interaction_divergence(teacher, teacher, cells).item() == pytest.approx(0, abs=1e-6)
    assert value > 0


def test_student_is_blind_to_padding():
    student = BanzhafEstimator(8)
    cosines = torch.rand(1, 6, 5)
    cells = torch.zeros(1, 6, 5, dtype=torch.bool)
    cells[:, :4, :3] = True
    inside = student(cosines, cells)[:, :4, :3]
    changed = student(cosines.masked_fill(~cells, 0.7), cells)[:, :4, :3]
    cropped = student(cosines[:, :4, :3], cells[:, :4, :3])
    torch.testing.assert_close(changed, inside)
    torch.testing.assert_close(cropped, inside)


def test_loss_terms_add_up_with_their_weights():
    model = small(teacher=TeacherConfig(weight=0.5), distillation_weight=0.25)
    losses = {name: value.item() for name, value in model.losses(batch_of(6)).items()}
    parts = {
        kind: sum(v for n, v in losses.items() if n.startswith(kind)) for kind in ("contrastive", "banzhaf", "dist")
    }
    assert losses["total"] == pytest.approx(
        parts["contrastive"] + 0.5 * parts["banzhaf"] + 0.25 * parts["dist"], rel=1e-5
    )
    assert len(losses) == 1 + 3 + 3 + 2


def test_shapley_and_banzhaf_teachers_differ():
    batch = batch_of(6)
    banzhaf, shapley = (small(teacher=TeacherConfig(index=index)).losses(batch) for index in ("banzhaf", "shapley"))
    assert banzhaf["contrastive/entity"] == shapley["contrastive/entity"]
    assert banzhaf["banzhaf/entity"] != shapley["banzhaf/entity"]


# ---- what is computed, options, input


def test_levels_without_a_rate_are_not_computed_in_evaluation():
    model = small()
    batch = batch_of(4)
    assert len(model.encode_text(batch.token_ids, batch.text_mask).tensors) == 9
    model.eval()
    assert len(model.encode_text(batch.token_ids, batch.text_mask).tensors) == 3


def test_similarity_is_the_weighted_sum_of_the_levels():
    rates = {"entity": 0.5, "action": 0.3, "event": 0.2}
    model = small(similarity_rates=rates).eval()
    batch = batch_of(5)
    with torch.no_grad():
        text, video = (
            model.encode_text(batch.token_ids, batch.text_mask),
            model.encode_video(batch.frames, batch.video_mask),
        )
        parts = {}
        for level in rates:
            model.config = HBIConfig(encoder="tiny", temporal_layers=1, similarity_rates={level: 1.0})
            parts[level] = model.similarity(text, video)
        model.config = HBIConfig(encoder="tiny", temporal_layers=1, similarity_rates=rates)
        torch.testing.assert_close(model.similarity(text, video), sum(rates[level] * parts[level] for level in rates))


def test_recomputed_activations_change_memory_not_gradients():
    gradients = []
    for recompute in (False, True):
        model = small()
        if recompute:
            model.recompute_activations()
        model.losses(batch_of(6))["total"].backward()
        gradients.append({name: weight.grad for name, weight in model.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient)


def test_pretrained_weights_come_from_a_file_and_start_the_temporal_layers(tmp_path):
    from safetensors.torch import save_file

    source = small()
    with torch.no_grad():
        for weight in source.encoder.clip.parameters():
            weight.add_(0.01)
    file = tmp_path / "clip.safetensors"
    save_file(source.encoder.clip.state_dict(), file)
    model = small(pretrained=str(file))
    assert all(
        torch.equal(a, b)
        for a, b in zip(model.encoder.state_dict().values(), source.encoder.state_dict().values(), strict=True)
    )
    torch.testing.assert_close(model.temporal.positions, source.encoder.clip.positional_embedding)
    first = model.encoder.clip.transformer.resblocks[0].mlp.c_fc.weight
    assert torch.equal(model.temporal.blocks[0].mlp.c_fc.weight, first)


@pytest.mark.parametrize("content", [b"not weights", b"", b"\x80\x04cposix\nsystem\n(S'true'\ntR."])
def test_files_that_are_no_weights_are_refused_in_one_line(tmp_path, content):
    file = tmp_path / "weights.pt"
    file.write_bytes(content)
    with pytest.raises(InputError, match="not readable as plain weights") as caught:
        small(pretrained=str(file))
    assert "\n" not in str(caught.value)


def test_weights_of_another_size_are_named(tmp_path):
    file = tmp_path / "weights.pt"
    state = small().encoder.clip.state_dict()
    state["ln_final.bias"] = torch.zeros(3)
    state["surplus"] = state.pop("text_projection")
    torch.save(state, file)
    with pytest.raises(
        InputError, match=r"missing text_projection; unexpected surplus; ln_final.bias is \[3\], not \[64\]"
    ):
        small(pretrained=str(file))


def test_unknown_encoder_gets_the_nearest_name():
    with pytest.raises(InputError, match="did you mean ViT-B-32"):
        encoder_sizes("ViT-B32")
    with pytest.raises(InputError, match="not a CLIP with a vision transformer"):
        encoder_sizes("RN50")


@pytest.mark.parametrize(
    "options",
    [
        {"levels": ("entity", "entity")},
        {"levels": ("action",)},
        {"similarity_rates": {"entity": 0.0}},
        {"levels": ("entity",), "distillation_weight": 1.0},
    ],
)
def test_options_that_contradict_each_other_are_refused(options):
    with pytest.raises(ValueError, match=r"level|rate|distillation"):
        HBIConfig(**options)


def test_published_sizes_follow_from_the_encoders_configuration():
    with torch.device("meta"):
        model = build(HBIConfig(encoder="ViT-B-32-quickgelu"))
    assert model.encoder.width == 512
    assert model.temporal.heads == 8
    assert model.word_scores["entity"][0].out_features == 1024
    assert math.prod(model.temporal.positions.shape) == 77 * 512
