"""LoRA (Hu et al., ICLR 2022) in both towers, and how its factors are trained and averaged.

In the attention of the top blocks of both encoders a low-rank term is added to frozen matrices,

    W h + b   ->   W h + b + s B A dropout(h)             d -> r -> d

with s = alpha / r, or alpha / sqrt(r) (rsLoRA; CLIP-LoRA, Zanella and Ben Ayed, CVPRW 2024). B
starts at zero, so every client starts as the untouched CLIP. FedIT (Zhang et al., ICASSP 2024)
averages A and B, each by itself, so that the product is not the mean of the clients' products;
FedSA-LoRA (Guo et al., ICLR 2025) averages A and leaves B with the client. The mean of the products
is had in four ways. FFA-LoRA (Sun et al., ICLR 2024) leaves A as it was drawn, the same for all.
RoLoRA (Chen et al., NeurIPS 2025) trains and averages B in the first round, A in the second, and
so on; what rests keeps its bits. FedEx-LoRA (Singhal et al., ACL 2025) adds what FedIT leaves out
to W, FLoRA (Wang et al., NeurIPS 2024) the whole mean, and A and B start anew
(exchange/factors.py). Clients may have a rank each (methods/ranked.py): with FLoRA, with HetLoRA
(Cho et al., EMNLP 2024), which weighs by norm, or with FlexLoRA (Bai et al., NeurIPS 2024), which
decomposes the mean product; s is the same for all of them, of the largest rank. DoRA (Liu et al.,
ICML 2024) trains the lengths of W's rows apart from their directions (methods/decomposed.py).
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pfedmma_dist.clip.model import Dims, FrozenCLIP
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.exchange import Exchange
from pfedmma_dist.exchange.factors import Turns
from pfedmma_dist.exchange.ranks import DealtRanks, Handed
from pfedmma_dist.exchange.server import Server
from pfedmma_dist.methods.decomposed import (
    decomposed,
    decomposed_specs,
    frozen_maps,
    measure_lengths,
)
from pfedmma_dist.methods.inside import Held, InsideAttention
from pfedmma_dist.methods.lora_options import Form, LoRAOptions, Train
from pfedmma_dist.methods.merging import Merge, added_to, merging_server
from pfedmma_dist.methods.ranked import directions, padding
from pfedmma_dist.params import Layout, ParamSpec, drawn, torch_linear, zeros


class LoRA(InsideAttention):
    """LoRA: low-rank terms inside the attention of both towers, averaged."""

    name = "lora"
    Options = LoRAOptions
    neutral: tuple[str, ...] = ("B",)

    def __init__(self, options: LoRAOptions, dims: Dims) -> None:
        super().__init__(options.blocks, options.projections, dims)
        self.options, self.dropout = options, options.dropout
        self.dealt, merge = options.all_ranks, options.merge
        rank = max(self.dealt)
        if merge is Merge.svd and rank > min(self.widths.values()):
            raise ValueError(
                f"method.rank: {rank}; the narrower tower has width {min(self.widths.values())}"
            )
        self.scale = options.alpha / rank**options.scaling.value
        self.decomposes = options.form is Form.decomposed
        if merge.is_dense or self.decomposes:
            self.neutral = ()  # W is no longer CLIP's, or B is not all there is beside it
        self.merges = merge is not Merge.none or len(set(self.dealt)) > 1
        self.goes_on = not self.merges and options.train is not Train.alternate
        shared, frozen = options.share.value, options.train is Train.B
        specs = []
        for place, width in self.places():
            down, up = (rank, width), (width, rank)
            how = {"frozen": True} if frozen else {"shared": "A" in shared}
            specs += [
                ParamSpec(f"A.{place}", down, torch_linear(width), **how),
                ParamSpec(f"B.{place}", up, zeros, shared="B" in shared),
            ]
            if self.decomposes:
                specs += decomposed_specs(place, width, shared="B" in shared)
        self.specs = tuple(specs)

    def factors(self, params: dict[str, Tensor], place: str) -> tuple[Tensor, Tensor]:
        """Return A [G, r, in] and s B [G, out, r], or what they come to with lengths apart."""
        down, up = params[f"A.{place}"], self.scale * params[f"B.{place}"]
        if not self.decomposes:
            return down, up
        return decomposed(params[f"W.{place}"], params[f"m.{place}"], down, up)

    def frozen(self, seed: int, clip: FrozenCLIP) -> dict[str, Tensor]:
        """Return A where it is frozen, and W where its lengths are trained."""
        return drawn(self.specs, seed) | (frozen_maps(self, clip) if self.decomposes else {})

    def template(self, layout: Layout, seed: int, clip: FrozenCLIP) -> Tensor:
        """Return the row [P + S] that every client starts from, as the untouched CLIP."""
        row = layout.template(seed)
        return measure_lengths(row, layout) if self.decomposes else row

    def resting(self, prepared: Any, round_index: int) -> dict[str, Tensor]:
        """Let A rest in the first round and B in the second: where B is 0, A has no gradient; and
        what is beyond a client's rank."""
        if prepared is not None and prepared.ranks is not None:
            return padding(self.specs, prepared.ranks)
        if self.options.train is not Train.alternate:
            return {}
        rests, all_of_them = "B" if round_index % 2 else "A", torch.ones(1, dtype=torch.bool)
        return {spec.name: all_of_them for spec in self.specs if spec.name.startswith(rests)}

    def exchange(
        self, layout: Layout, template: Tensor, seed: int, server: Server | None = None
    ) -> Exchange:
        """Return FedAvg's server, or one that takes the two factors apart or their products."""
        start, merge = template[layout.num_private :], self.options.merge
        if self.merges:
            return merging_server(self, layout, start, seed, server, merge, self.dealt)
        if self.goes_on or not layout.num_shared:
            return super().exchange(layout, template, seed, server)
        is_b = torch.zeros(1, layout.num_shared, dtype=torch.bool)
        for name, part in layout.views(is_b).items():  # views: they move the row
            part.fill_(name.startswith("B."))
        return Turns(start, [is_b[0], ~is_b[0]], server)

    def prepare(self, extra: Any, text: ClassText) -> Held | None:
        """Merge what rounds have added to the frozen matrices, where any does, and note how many
        directions of its terms are a client's own."""
        if not isinstance(extra, Handed):
            return None
        held = Held() if extra.dense is None else added_to(self, extra.dense, text)
        return replace(held, ranks=extra.ranks)

    def num_trained(self, layout: Layout) -> int:
        """Return how many numbers a client trains, in the mean over the ranks that are dealt."""
        if len(set(self.dealt)) == 1:
            return super().num_trained(layout)
        return DealtRanks(self.dealt, directions(layout)).mean_size()
