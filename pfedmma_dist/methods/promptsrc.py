"""PromptSRC (Khattak et al., ICCV 2023), averaged by FedAvg: IVLP that holds on to what CLIP says.

Beside IVLP's cross-entropy, with t_c and x the unit vectors of a class and of an image as prompted,
and p their softmax; x0 the untouched CLIP's image vector, z_c the unit vector of the mean of its
text vectors, as long as they are, over 60 templates, and p0 the softmax of scale * <x0, z_c>:

    loss = CE + 25 mean |t - z| + 10 mean |x - x0| + 1 / (B C) sum_b KL(p0_b || p_b)

where the means are over all numbers of the vectors. Vectors z and x0 are computed once. Scores are
made with prompts averaged over the rounds, which weigh by a bell around three quarters of the run
(`exchange.window`); published training averages over its epochs, and so once, behind the last.
Before the bell the newest rounds weigh most, and what is scored is about what is trained. As the
weights depend on federation.rounds, a run of more rounds is another run from its first on.

At IVLP's 4 + 4 vectors in 9 blocks of ViT-B/16 a client trains, sends and receives 46,080 numbers.
The mean over the rounds is the server's: prompts that `share` leaves with a client are scored as
last trained, and are not averaged.

FLiP's "PromptSRC" loads the running sum of the bell into the model each round, so that training
starts anew from almost nothing, and trains the text side alone.
"""

from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from pfedmma_dist.clip.model import FINAL, Dims, FrozenCLIP
from pfedmma_dist.clip.templates import spelled_out
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.exchange import Exchange
from pfedmma_dist.exchange.server import Server
from pfedmma_dist.exchange.window import Bell, Windowed, WindowedOpen
from pfedmma_dist.methods.ivlp import IVLP, IVLPOptions
from pfedmma_dist.methods.method import cosine_logits, encode
from pfedmma_dist.methods.step import Step, among
from pfedmma_dist.methods.templates import check_templates
from pfedmma_dist.params import Layout

CENTRE = 0.75


@dataclass(kw_only=True)
class PromptSRCOptions(IVLPOptions):
    """Options of PromptSRC: those of IVLP, and its own."""

    text_weight: float = 25.0
    """Weight of the distance between class vectors, 25 (paper)."""
    image_weight: float = 10.0
    """Weight of the distance between image vectors, 10 (paper)."""
    logit_weight: float = 1.0
    """Weight of the divergence from zero-shot CLIP's answers, which the released code divides by
    the number of classes, too; 1 (paper)."""
    templates: list[str] | None = None
    """Prompts whose vectors are averaged for both: texts with {} for the class name, or the name of
    a published set; null is `promptsrc60`, the 60 of the released code."""
    centre: float = CENTRE
    """Where the bell over the rounds is highest, as a share of all rounds; epoch 15 of 20
    (paper)."""
    deviation: float | None = 0.05
    """Standard deviation of the bell, as a share of all rounds; 1 epoch of 20 (paper). null scores
    what the last round left."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("text_weight", "image_weight", "logit_weight"):
            if not (weight := getattr(self, name)) >= 0:
                raise ValueError(f"method.{name}: {weight}; set 0 or more, such as 1")
        if self.templates is not None:
            check_templates(self.templates)
        if self.deviation is None and self.centre != CENTRE:
            raise ValueError(
                f"method.centre: {self.centre} is read with method.deviation alone, which is null; "
                "set one of the two"
            )
        if not 0 <= self.centre <= 1:
            raise ValueError(f"method.centre: {self.centre}; set a share from 0 to 1, such as 0.75")
        if self.deviation is not None and not self.deviation > 0:
            raise ValueError(
                f"method.deviation: {self.deviation}; set more than 0, such as 0.05, or null for "
                "the last round alone"
            )


class PromptSRC(IVLP):
    """PromptSRC: IVLP's tokens, held to what the untouched CLIP says and averaged by FedAvg."""

    name = "promptsrc"
    Options = PromptSRCOptions

    def __init__(self, options: PromptSRCOptions, dims: Dims, num_rounds: int = 100) -> None:
        super().__init__(options, dims)
        self.own, self.num_rounds = options, num_rounds
        self.images = (self.prompted, FINAL)
        self.templates = spelled_out(options.templates or ["promptsrc60"])

    def exchange(
        self, layout: Layout, template: Tensor, seed: int, server: Server | None = None
    ) -> Exchange:
        """Return the mean of what clients send, and for scoring its own mean over the rounds."""
        if self.own.deviation is None:
            return super().exchange(layout, template, seed, server)
        bell = Bell(self.num_rounds, self.own.centre, self.own.deviation)
        kind = WindowedOpen if server is not None and server.sees_uploads else Windowed
        return kind(template[layout.num_private :], bell, server)

    def prepare(self, extra: Any, text: ClassText) -> None:
        """Run the templates, so that what the CLIP cannot take is refused before the first step."""
        if text.is_trained:
            self._taught(text)

    def see(
        self, params: dict[str, Tensor], classes: Any, images: Any, clip: FrozenCLIP
    ) -> tuple[Tensor, Tensor]:
        """Return unit vectors [G, B, D] of the images with this client's tokens, and without."""
        entry, final = images
        prompts = clip.image_prompts(self.image_vectors(params, classes))
        return encode(clip, entry, self.prompted, prompts=prompts), encode(clip, final, FINAL)

    def logits(
        self, params: dict[str, Tensor], classes: Tensor, images: Any, clip: FrozenCLIP
    ) -> Tensor:
        """Return logits [G, B, C] of the images with tokens."""
        return cosine_logits(images[0], classes, clip.scale)

    def representation(
        self, params: dict[str, Tensor], classes: Any, images: Any, clip: FrozenCLIP
    ) -> Tensor:
        """Return the image vectors with tokens [G, B, 1, D]."""
        return self.see(params, classes, images, clip)[0][:, :, None]

    def penalty(self, params: dict[str, Tensor], classes: Tensor, step: Step) -> Tensor:
        """Return the weighted distances [G] to what the untouched CLIP says."""
        own, (seen, final), taught = self.own, step.seen, self._taught(step.text)
        of_text = (classes - taught).abs().mean(dim=(1, 2))
        of_image = step.mean((seen - final).abs().mean(dim=2))
        zero_shot = among(step.own, cosine_logits(final, taught, step.text.clip.scale))
        said, expected = (x.log_softmax(dim=2) for x in (step.logits, zero_shot))
        apart = F.kl_div(said, expected, reduction="none", log_target=True).sum(dim=2)
        num_classes = len(taught) if step.own is None else step.own.sum(dim=1)
        of_logits = step.mean(apart) / num_classes
        return (
            own.text_weight * of_text + own.image_weight * of_image + own.logit_weight * of_logits
        )

    def _taught(self, text: ClassText) -> Tensor:
        """Return the untouched CLIP's vectors [C, D] of the classes in all templates."""
        return text.ensemble(self.templates, unit=False)
