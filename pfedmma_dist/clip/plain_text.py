"""Plain text: the text side as published code runs it, to hold the fast form to."""

from collections.abc import Mapping
from functools import cached_property

import torch
from torch import Tensor

from pfedmma_dist.clip.low_rank import Inside, nothing_inside
from pfedmma_dist.clip.prompted import Prompted, Prompts, unprompted
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.clip.text_tree import Wording
from pfedmma_dist.clip.tower import Branch


class PlainText(ClassText):
    """The plain form: every sequence whole and for itself, all tokens of all blocks."""

    def branched(
        self, branch: Branch | None, start: int, num_clients: int, *, unit: bool = True
    ) -> Tensor:
        """Return vectors [G, C, D] of the template prompts, of length 1 where `unit`."""
        ids = self._ids([self.template.format(name) for name in self.names])
        with torch.no_grad():
            x = self.clip.text.run(self._whole(ids), 0, start, mask=self._causal)
        return self._encode(x.repeat(num_clients, 1, 1), ids, start, branch, unit=unit)

    def adapted(self, inside: Inside, start: int, num_clients: int) -> Tensor:
        """Return unit vectors [G, C, D] of the template prompts."""
        ids = self._ids([self.template.format(name) for name in self.names])
        with torch.no_grad():
            x = self.clip.text.run(self._whole(ids), 0, start, mask=self._causal)
        return self._encode(x.repeat(num_clients, 1, 1), ids, start, None, inside)

    def with_context(
        self, context: Tensor, before: int | None = None, *, unit: bool = True
    ) -> Tensor:
        """Return vectors [G, C, D] of "<SOT> context name. <EOT>", of length 1 where `unit`."""
        before = context.shape[1] if before is None else before
        texts = self._trees.texts(Wording(before, context.shape[1] - before))
        x = self._filled_whole(texts, context, before)
        return self._encode(x, self._ids(texts), 0, None, unit=unit)

    def without_name(self, context: Tensor) -> Tensor:
        """Return unit vectors [G, D] of "<SOT> context. <EOT>", of contexts [G, n, W]."""
        texts = self._trees.texts(Wording(context.shape[1], named=False))
        x = self._filled_whole(texts, context, context.shape[1])
        return self._encode(x, self._ids(texts), 0, None)[:, 0]

    def prompted(self, vectors: Mapping[int, Tensor], words: str = "") -> Tensor:
        """Return unit vectors [G, C, D] of prompts whose first places learned vectors take."""
        start = min(vectors)
        num_context = vectors[start].shape[1]
        if start:
            self._check_room(num_context)
            texts = [self.template.format(name) for name in self.names]
            with torch.no_grad():
                x = self.clip.text.run(self._whole(self._ids(texts)), 0, start, mask=self._causal)
            x, rest = x.repeat(len(vectors[start]), 1, 1), vectors
        else:
            texts = self._trees.texts(Wording(num_context, words=words))
            x = self._filled_whole(texts, vectors[0], num_context)
            rest = {block: each for block, each in vectors.items() if block}
        return self._encode(x, self._ids(texts), start, None, prompts=Prompts(1, rest))

    def with_class_tokens(self, context: Tensor, tokens: Tensor, start: int) -> Tensor:
        """Return unit vectors [G, C, D]; block `start` is given tokens [G, C, n, W]."""
        num_context = context.shape[1]
        texts = self._trees.texts(Wording(num_context))
        x = self._filled_whole(texts, context, num_context)
        x = self.clip.text.run(x, 0, start, mask=self._causal)
        tokens = tokens.to(x.dtype).flatten(0, 1)
        x = torch.cat([x[:, :1], tokens, x[:, 1 + num_context :]], dim=1)
        return self._encode(x, self._ids(texts), start, None)

    def context_bytes(self, num_context: int) -> int:
        """Estimate what `with_context` keeps for the gradient of one context."""
        length = len(self.clip.embed_text.position)
        return self.clip.text.kept_bytes(len(self.names) * length, length)

    def _encode(
        self,
        x: Tensor,
        ids: Tensor,
        start: int,
        branch: Branch | None,
        inside: Inside = nothing_inside,
        *,
        unit: bool = True,
        prompts: Prompted = unprompted,
    ) -> Tensor:
        tower = self.clip.text
        x = tower.run(x, start, tower.depth, branch, self._causal, inside, prompts)
        row = self.clip.embed_text.eot_index(ids).repeat(len(x) // len(ids))
        pooled = x[torch.arange(len(x), device=x.device), row]
        return tower.head(pooled, unit=unit).unflatten(0, (-1, len(ids)))

    @cached_property
    def _causal(self) -> Tensor:
        length = len(self.clip.embed_text.position)
        return torch.ones(length, length, dtype=torch.bool, device=self.clip.device).tril()

    def _ids(self, texts: list[str]) -> Tensor:
        return self._read(texts)[0]

    def _read(self, texts: list[str]) -> tuple[Tensor, list[int]]:
        """Return token ids [C, L] on the device, and where each text ends."""
        words = tuple(texts)
        if words not in self._tokens:
            ids = self.clip.tokenizer(texts)
            ends = self.clip.embed_text.eot_index(ids).tolist()
            self._tokens[words] = ids.to(self.clip.device), ends
        return self._tokens[words]

    def _whole(self, ids: Tensor) -> Tensor:
        """Return [C, L, W]."""
        embedding = self.clip.embed_text
        return embedding.token[ids].to(self.clip.wide) + embedding.position

    def _filled_whole(self, texts: list[str], context: Tensor, before: int) -> Tensor:
        """Return [G C, L, W], of every sequence its vectors [G, n, W] in place of its X."""
        ids, ends = self._read(texts)
        position, frozen = self.clip.embed_text.position, self._whole(ids)
        behind, every = context.shape[1] - before, []
        each = context.to(self.clip.wide).repeat_interleave(len(ids), dim=0)
        each = each.unflatten(0, (-1, len(ids))).unbind(dim=1)
        for own, tokens, eot in zip(each, frozen, ends, strict=True):
            full = tokens.expand(len(own), -1, -1)
            end = eot - 1 if behind else 1 + before  # of the last vector
            front = own[:, :before] + position[1 : 1 + before]
            back = own[:, before:] + position[end - behind : end]
            parts = full[:, :1], front, full[:, 1 + before : end - behind], back, full[:, end:]
            every.append(torch.cat(parts, dim=1))
        return torch.stack(every, dim=1).flatten(0, 1)
