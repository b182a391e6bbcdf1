"""The cost of systems other than HBI: nothing is left uncounted, and heads cost what their formulas say."""

import pytest

from hbi.config import Clip4ClipConfig, DRLConfig
from hbi.cost.stages import evaluations, stages
from hbi.cost.systems import parameters

T, V, D, N, M = 32, 12, 512, 100, 100
B32 = "ViT-B-32-quickgelu"


@pytest.mark.parametrize(
    "config",
    [
        *(Clip4ClipConfig(sim_header=header) for header in ("meanP", "seqLSTM", "seqTransf")),
        *(DRLConfig(interaction=how, cdcr=cdcr) for how, cdcr in (("dp", 1), ("ti", 1), ("ti", 2), ("wti", 3))),
        DRLConfig(agg_module="seqLSTM", wti_arch=3, **DRLConfig.published()),
        DRLConfig(agg_module="None", wti_arch=1, cdcr=0, freeze="encoder"),
    ],
    ids=lambda config: "-".join(map(str, [config.system, *list(config.model_dump().values())[6:]])),
)
def test_every_operation_of_every_stage_is_priced(config):
    found = stages(config, 12, 6, batch=4)
    assert [(name, report.unpriced) for name, report in found.items() if not report.complete] == []
    in_time = getattr(config, "sim_header", None) != "meanP" and getattr(config, "agg_module", None) != "None"
    every = {"text encoder", "frame encoder", "encode text", "encode video", "similarity", "training step"}
    assert found.keys() == every | ({"temporal"} if in_time else set())
    assert evaluations(config, 12, 6) == {}


def test_heads_cost_what_their_formulas_say():
    vectors = stages(Clip4ClipConfig(encoder=B32), T, V, batch=None, gallery=(N, M))
    assert vectors["similarity"].macs == N * M * D
    tokens = stages(DRLConfig(encoder=B32), T, V, batch=None, gallery=(N, M))
    assert tokens["similarity"].macs == N * M * (T * V * D + T + V)
    lstm = stages(Clip4ClipConfig(encoder=B32, sim_header="seqLSTM"), T, V, batch=None)["temporal"]
    assert lstm.macs == V * 4 * D * 2 * D
    # golden/clip4clip/README.md, cost facts: four blocks over twelve frames of a hundred videos
    assert 100 * tokens["temporal"].matmul == pytest.approx(30e9, rel=0.02)


def test_token_weights_are_computed_once_for_an_item():
    weighted, alike = (
        stages(DRLConfig(encoder=B32, interaction=how, cdcr=0), T, V, batch=None) for how in ("wti", "ti")
    )
    more = {name: weighted[name].macs - alike[name].macs for name in alike}
    assert more.pop("encode text") == T * (D * D + D)
    assert more.pop("encode video") == V * (D * D + D)
    assert set(more.values()) == {0}


def test_parameters_of_the_parts():
    bare, lstm = (parameters(Clip4ClipConfig(encoder=B32, sim_header=header))[0] for header in ("meanP", "seqLSTM"))
    assert lstm - bare == 4 * D * 2 * D + 2 * 4 * D
