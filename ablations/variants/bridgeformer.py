"""The variants of MCQ (BridgeFormer): for retrieval, on a CLIP, and in pre-training."""

from ablations.registry import register
from hbi.config import BridgeFormerClipConfig, BridgeFormerConfig

register(
    "bridgeformer",
    "MCQ: DistilBERT and a vision transformer over all frames, contrastive loss; zero-shot or fine-tuned",
    model={"system": "bridgeformer", "questions": []},
)
register(
    "bridgeformer-nouns",
    "MCQ, first part of pre-training: one frame a video, questions about nouns",
    model={"system": "bridgeformer", "questions": ["noun"], "seen_frames": 1},
)
register(
    "bridgeformer-pretraining",
    "MCQ, pre-training: questions about nouns and verbs, all frames, after one frame and nouns",
    model={"system": "bridgeformer", "questions": ["noun", "verb"], "start": "bridgeformer-nouns"},
)
register(
    "bridgeformer-no-questions",
    "MCQ's towers pre-trained by the contrastive loss alone, in the same two parts: what its questions are worth",
    model={"system": "bridgeformer", "questions": [], "start": "bridgeformer-one-frame"},
)
register(
    "bridgeformer-one-frame",
    "MCQ's towers, first part of pre-training without questions: one frame a video",
    model={"system": "bridgeformer", "questions": [], "seen_frames": 1},
)
register(
    "bridgeformer-released",
    "MCQ by the published code: grey frames fill up short videos and are seen",
    model={"system": "bridgeformer", "questions": [], **BridgeFormerConfig.published()},
    evaluation={"ties": "optimistic"},
)
register(
    "bridgeformer-clip",
    "MCQ, CLIP-initialised: CLIP's image tower sees all frames of a video at once",
    model={"system": "bridgeformer-clip"},
)
register(
    "bridgeformer-clip-released",
    "MCQ, CLIP-initialised, by the published code",
    model={"system": "bridgeformer-clip", **BridgeFormerClipConfig.published()},
    evaluation={"ties": "optimistic"},
)
