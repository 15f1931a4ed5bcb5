"""Class names as the text tower sees them: cut at the longest EOT, their common prefix run once."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from pfedmma_dist.clip.model import FrozenCLIP
from pfedmma_dist.clip.tower import Branch, Prefixed


@dataclass(frozen=True)
class Sequences:
    """C token sequences, split where they first differ. Attention is causal, so what stands behind
    the last EOT is never read, and the states of the common prefix are the same for all."""

    ids: Tensor  # [C, L] int64
    eot: Tensor  # [C] position that is pooled
    prefix: int  # number of common first tokens, at most min(eot): every tail has one token or more
    length: int  # longest eot + 1

    @classmethod
    def cut(cls, ids: Tensor, eot: Tensor) -> "Sequences":
        """Find the common prefix and the longest EOT."""
        differs = (ids != ids[:1]).any(dim=0)
        first = int(differs.nonzero()[0]) if bool(differs.any()) else ids.shape[1]
        return cls(ids, eot, min(first, int(eot.min())), int(eot.max()) + 1)


class ClassText:
    """The text side of C classes. Holds frozen inputs only, each computed at its first use."""

    def __init__(self, clip: FrozenCLIP, names: tuple[str, ...], template: str) -> None:
        """template: prompt of the fixed-text methods, `{}` standing for the name."""
        self.clip = clip
        self.names = names
        self.template = template
        self._prompts: dict[int, tuple[Sequences, Prefixed]] = {}
        self._forks: dict[int, tuple[Prefixed, Prefixed]] = {}

    @cached_property
    @torch.no_grad()
    def plain(self) -> Tensor:
        """Unit vectors [C, D] of the untouched CLIP: the zero-shot classifier."""
        return self.branched(None, 0, 1)[0]

    def branched(self, branch: Branch | None, start: int, num_clients: int) -> Tensor:
        """Return unit vectors [G, C, D] of the template prompts.

        branch: trained part beside blocks start .. L - 1, for `num_clients` clients at once.
        """
        clip, tower, sequences = self.clip, self.clip.text, self._template_sequences
        if clip.plain:
            x = clip.embed_text.token[sequences.ids].to(clip.wide) + clip.embed_text.position
            with torch.no_grad():
                x = tower.run(x, 0, start)
            return self._encode_plain(x.repeat(num_clients, 1, 1), sequences, start, branch)
        if branch is None:
            x = tower.run_prefixed(self._template_input, 0, tower.depth - 1)
        else:
            h, x = self._fork(start)
            h, x = _repeat(h, num_clients), _repeat(x, num_clients)
            x = Prefixed(x.prefix + branch(start, h.prefix), x.tails + branch(start, h.tails))
            x = tower.run_prefixed(x, start + 1, tower.depth - 1, branch)
        row = (sequences.eot - sequences.prefix).repeat(num_clients)
        if branch is not None and start == tower.depth - 1:
            pooled = x.tails[torch.arange(len(row), device=row.device), row]
        else:
            pooled = tower.last_row_prefixed(x, row, branch)
        return tower.head(pooled).view(num_clients, len(self.names), -1)

    def with_context(self, context: Tensor) -> Tensor:
        """Return unit vectors [G, C, D] of "<SOT> context name. <EOT>" (CoOp, class token at the
        end).

        context: [G, n, W] learned vectors, the same for all classes of a client.
        """
        clip, tower = self.clip, self.clip.text
        owners, num_context = context.shape[:2]
        sequences, frozen = self._prompt(num_context)
        context = context.to(clip.wide) + clip.embed_text.position[1 : 1 + num_context]
        if clip.plain:
            x = clip.embed_text.token[sequences.ids].to(clip.wide) + clip.embed_text.position
            x = x.repeat(owners, 1, 1)
            inserted = context.repeat_interleave(len(self.names), dim=0)
            x = torch.cat([x[:, :1], inserted, x[:, 1 + num_context :]], dim=1)
            return self._encode_plain(x, sequences, 0, None)
        frozen = _repeat(frozen, owners)
        before, after = frozen.prefix[:, :1], frozen.prefix[:, 1 + num_context :]
        x = Prefixed(torch.cat([before, context, after], dim=1), frozen.tails)
        x = tower.run_prefixed(x, 0, tower.depth - 1)
        row = (sequences.eot - sequences.prefix).repeat(owners)
        return tower.head(tower.last_row_prefixed(x, row)).view(owners, len(self.names), -1)

    def _encode_plain(
        self, x: Tensor, sequences: Sequences, start: int, branch: Branch | None
    ) -> Tensor:
        """Run whole sequences [G * C, L, W] through blocks start .. L - 1, all tokens of them."""
        tower = self.clip.text
        x = tower.run(x, start, tower.depth, branch)
        row = sequences.eot.repeat(len(x) // len(self.names))
        pooled = x[torch.arange(len(x), device=x.device), row]
        return tower.head(pooled).view(-1, len(self.names), self.clip.dims.embed_dim)

    @cached_property
    def _template_sequences(self) -> Sequences:
        return self._tokenise([self.template.format(name) for name in self.names])

    @cached_property
    def _template_input(self) -> Prefixed:
        return self._embed(self._template_sequences)

    @torch.no_grad()
    def _fork(self, start: int) -> tuple[Prefixed, Prefixed]:
        if start not in self._forks:
            x = self.clip.text.run_prefixed(self._template_input, 0, start)
            self._forks[start] = self.clip.text.fork_prefixed(x, start)
        return self._forks[start]

    def _prompt(self, num_context: int) -> tuple[Sequences, Prefixed]:
        if num_context not in self._prompts:
            holders = " ".join(["X"] * num_context)  # one token each, as in CoOp
            sequences = self._tokenise([f"{holders} {name}." for name in self.names])
            assert sequences.prefix > num_context, "placeholders must be one token each"
            self._prompts[num_context] = sequences, self._embed(sequences)
        return self._prompts[num_context]

    def _tokenise(self, texts: list[str]) -> Sequences:
        ids = self.clip.tokenizer(texts).to(self.clip.device)
        return Sequences.cut(ids, self.clip.embed_text.eot_index(ids))

    def _embed(self, sequences: Sequences) -> Prefixed:
        """Embed the prefix [1, Pre, W] once and the tails [C, n, W]."""
        embedding, prefix, length = self.clip.embed_text, sequences.prefix, sequences.length
        x = embedding.token[sequences.ids[:, :length]].to(self.clip.wide)
        x = x + embedding.position[:length]
        return Prefixed(x[:1, :prefix], x[:, prefix:])


def _repeat(x: Prefixed, num_clients: int) -> Prefixed:
    """Give each of G clients the same frozen sequences, client-major, without a copy where G =
    1."""
    if num_clients == 1:
        return x
    return Prefixed(x.prefix.repeat(num_clients, 1, 1), x.tails.repeat(num_clients, 1, 1))
