"""Half precision as the published code has it on a GPU: of the encoder's weights themselves, without loss scaling.

Their gradients and the optimiser's moments are half as well, and small ones underflow: golden/hbi/README.md, G8, says
what becomes of the steps.
"""

from open_clip.model import convert_weights_to_lp
from torch import Tensor, nn

from hbi.models import System
from hbi.models.encoder import ClipEncoder


class HalfEncoder(ClipEncoder):
    """``whole`` with the weights of its convolutions, linear maps and projections in float16, as OpenAI's
    convert_weights makes them.

    Norms and embeddings stay in float32, and norms compute so; what goes in and what comes out is float32.
    """

    def __init__(self, whole: ClipEncoder) -> None:
        nn.Module.__init__(self)
        vars(self).update(vars(whole))
        convert_weights_to_lp(self.clip)
        self.clip.transformer.register_forward_pre_hook(_half)
        for module in self.clip.modules():
            if isinstance(module, nn.LayerNorm):
                module.register_forward_pre_hook(_whole)
                module.register_forward_hook(lambda module, given, normed: normed.half())

    def words(self, token_ids: Tensor, mask: Tensor) -> Tensor:
        return super().words(token_ids, mask).float()

    def frames(self, images: Tensor) -> Tensor:
        return super().frames(images.half()).float()


def _half(module: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return given[0].half(), *given[1:]


def _whole(module: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return given[0].float(), *given[1:]


def halve(model: System) -> None:
    """Takes the encoder of ``model`` to half precision, where it trains one."""
    for name, part in model.named_children():
        if isinstance(part, ClipEncoder):
            setattr(model, name, HalfEncoder(part))
