"""The tower that reads captions: DistilBERT (arXiv 1910.01108), by the transformers package."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn
from transformers import DistilBertConfig, DistilBertModel

from hbi.models.towers.sizes import TextSizes
from hbi.weights import fit


class TextTower(nn.Module):
    """token_ids [N,T], mask [N,T] → the hidden states [N,T,D] before the first layer and after each."""

    def __init__(self, sizes: TextSizes, vocabulary: int) -> None:
        super().__init__()
        config = DistilBertConfig(  # type: ignore[call-arg]
            vocab_size=vocabulary,
            max_position_embeddings=sizes.positions,
            dim=sizes.width,
            n_layers=sizes.layers,
            n_heads=sizes.heads,
            hidden_dim=sizes.hidden,
            attn_implementation="sdpa",
        )
        self.bert = DistilBertModel(config)

    def forward(self, token_ids: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        seen = mask[:, None, None]  # of every head and word: of two axes it would be asked for its values
        found = self.bert(input_ids=token_ids, attention_mask=seen, output_hidden_states=True)
        return found.hidden_states  # type: ignore[no-any-return]

    def start_from(self, state: Mapping[str, Tensor], origin: Path | str) -> None:
        """Takes the weights of a released DistilBERT, by the names of the transformers package; what it has on top of
        the model (vocab_transform, vocab_projector ...) is left. Raises InputError where they do not fit."""
        inside = {name.removeprefix("distilbert."): weight for name, weight in state.items()}
        fit(
            self.bert,
            {name: w for name, w in inside.items() if name.startswith(("embeddings.", "transformer."))},
            origin,
        )

    def recompute_activations(self) -> None:
        self.bert.gradient_checkpointing_enable({"use_reentrant": False})  # type: ignore[no-untyped-call]
