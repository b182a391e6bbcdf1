"""The variants of CLIP4Clip: its three headers over frames."""

from ablations.registry import register
from ablations.variants.recipes import RELEASED_TRAINING
from hbi.config import Clip4ClipConfig

register(
    "clip4clip",
    "CLIP4Clip, meanP: one vector a caption, the mean of a video's frames, contrastive loss",
    model={"system": "clip4clip"},
)
register(
    "clip4clip-seqlstm",
    "CLIP4Clip, seqLSTM: an LSTM over the frames before their mean",
    model={"system": "clip4clip", "sim_header": "seqLSTM"},
)
register(
    "clip4clip-seqtransf",
    "CLIP4Clip, seqTransf: a transformer over the frames before their mean",
    model={"system": "clip4clip", "sim_header": "seqTransf"},
)
register(
    "clip4clip-released",
    "CLIP4Clip, meanP, by the published code: its departures, freezing and optimiser",
    model={
        "system": "clip4clip",
        **Clip4ClipConfig.published(),
        "freeze": "embeddings",  # by an option of the published training (freeze_layer_num 0), not by the model
    },
    training={**RELEASED_TRAINING, "selection": "test"},
    evaluation={"ties": "released"},
)
