"""Every system evaluates a checkpoint in its published layout as it does one of ours."""

import pytest

from ablations.preflight import check
from ablations.trained import trained
from hbi.errors import InputError
from hbi.models import released

SUITE = """
data: {name: shapes, train: 8, val: 2, test: 6, size: 32, max_words: 16, max_frames: 4}
model: {encoder: tiny, temporal_layers: 1}
training: {epochs: 1, batch_size: 4, lr: 1e-3, coef_lr: 1}
runtime: {threads: 1, device: cpu}
keep: [weights]
variants: [no-hbi]
"""


@pytest.mark.parametrize("variant", ["hbi", "clip4clip-seqlstm", "clip4clip-seqtransf", "drl", "drl-dp"])
def test_a_published_layout_scores_as_ours(variant, place, run_of, done):
    record, folder = done(run_of(f"variants=[{variant}]").spec, variant)
    assert record.outcome == "complete", record.failure
    file = place / f"{variant}.bin"
    released.save(trained(folder), file)
    again, _ = done(run_of(f"variants=[{variant}]", f"checkpoint={file}").spec, f"{variant}-again")
    assert again.outcome == "complete", again.failure
    assert again.metrics == record.metrics


def test_a_checkpoint_of_another_variant_or_system_is_refused(place, run_of, done):
    _, folder = done(run_of("variants=[drl]").spec, "other")
    released.save(trained(folder), place / "drl.pth")
    for variant, message in {
        "clip4clip": r"drl\.pth, read as CLIP4Clip: .*; it looks like a checkpoint of DRL",
        "drl-dp": r"drl\.pth, read as DRL: does not fit the model: unexpected text_weight_fc",
        "hbi": r"drl\.pth, read as HBI: .*missing .*; it looks like a checkpoint of DRL",
    }.items():
        run = run_of(f"variants=[{variant}]", f"checkpoint={place / 'drl.pth'}")
        with pytest.raises(InputError, match=message) as caught:
            check([run.spec], place / "data", lambda *progress: None)
        assert "\n" not in str(caught.value)
