"""Class names as the text tower sees them: cut at EOT, their common prefix run once."""

from copy import copy
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from pfedmma_dist.clip.low_rank import Inside, nothing_inside
from pfedmma_dist.clip.model import FrozenCLIP
from pfedmma_dist.clip.tower import Branch


@dataclass(frozen=True)
class Tree:
    """C token sequences as one: their common prefix, then the rest of each up to its EOT.

    Attention is causal, so nothing behind an EOT is ever read, and the states of the prefix are the
    same in all sequences. 50 classes of Caltech-101 with 16 context vectors are so 190 tokens in
    place of 3,850.
    """

    ids: Tensor  # [T] int64
    position: Tensor  # [T] place of each token in its own sequence
    mask: Tensor  # [T, T] bool: a token reads those before it in its own sequence
    rows: Tensor  # [C] where the EOT of each sequence stands

    @classmethod
    def grow(cls, ids: Tensor, eot: Tensor) -> "Tree":
        """Pack sequences [C, L] that are pooled at `eot` [C]."""
        differs = (ids != ids[:1]).any(dim=0)
        first = int(differs.nonzero()[0]) if bool(differs.any()) else ids.shape[1]
        prefix = min(first, int(eot.min()))  # every sequence keeps its EOT for itself
        place = torch.arange(ids.shape[1], device=ids.device)
        kept = (place >= prefix) & (place <= eot[:, None])  # [C, L]
        owner, position = kept.nonzero().unbind(dim=1)
        shared = place[:prefix]
        owner = torch.cat([torch.full_like(shared, -1), owner])
        position = torch.cat([shared, position])
        related = (owner == -1) | (owner == owner[:, None])
        return cls(
            ids=torch.cat([ids[0, :prefix], ids[kept]]),
            position=position,
            mask=related & (position <= position[:, None]),
            rows=prefix + kept.sum(dim=1).cumsum(dim=0) - 1,
        )

    def to(self, device: torch.device) -> "Tree":
        """Return the tree on a device."""
        return Tree(**{name: value.to(device) for name, value in vars(self).items()})


class ClassText:
    """The text side of C classes. Holds frozen inputs only, each computed at its first use."""

    def __init__(
        self, clip: FrozenCLIP, names: tuple[str, ...], template: str, is_trained: bool = True
    ) -> None:
        """template: prompt of the fixed-text methods, `{}` standing for the name. is_trained:
        whether these are the classes of the training softmax."""
        self.clip, self.is_trained = clip, is_trained
        self.names = names
        self.template = template
        self._prompts: dict[int, Tree] = {}
        self._placeholders: dict[int, Tensor] = {}
        self._forks: dict[int, tuple[Tensor, Tensor]] = {}
        self._entries: dict[int, Tensor] = {}
        self._ensembles: dict[tuple[str, ...], Tensor] = {}
        self._tokens: dict[tuple[str, ...], Tensor] = {}

    @cached_property
    @torch.no_grad()
    def plain(self) -> Tensor:
        """Unit vectors [C, D] of the untouched CLIP: the zero-shot classifier."""
        return self.branched(None, 0, 1)[0]

    def ensemble(self, templates: tuple[str, ...]) -> Tensor:
        """Return unit vectors [C, D] of the untouched CLIP: the mean of each template's unit
        vectors, normalised again (Radford et al., 2021, section 3.1.4)."""
        if templates not in self._ensembles:
            each = [type(self)(self.clip, self.names, template).plain for template in templates]
            self._ensembles[templates] = F.normalize(torch.stack(each).mean(dim=0), dim=1)
        return self._ensembles[templates]

    def merged(self, clip: FrozenCLIP, start: int) -> "ClassText":
        """Return these classes in a CLIP whose text tower is another one from block `start` on."""
        own = copy(self)
        own.__dict__.pop("plain", None)
        own.clip, own._placeholders, own._forks, own._ensembles = clip, {}, {}, {}
        own._entries = {start: self._entry(start)}
        return own

    def branched(self, branch: Branch | None, start: int, num_clients: int) -> Tensor:
        """Return unit vectors [G, C, D] of the template prompts.

        branch: trained part beside blocks start .. L - 1, for `num_clients` clients at once.
        """
        tower, tree = self.clip.text, self._template_tree
        if branch is None:
            x = tower.run(self._embed(tree), 0, tower.depth - 1, mask=tree.mask)
            return tower.head(tower.last_rows(x, tree.rows, mask=tree.mask))
        h, x = (part.expand(num_clients, -1, -1) for part in self._fork(start))
        x = x + branch(start, h)
        if start == tower.depth - 1:
            return tower.head(x[:, tree.rows])
        x = tower.run(x, start + 1, tower.depth - 1, branch, tree.mask)
        return tower.head(tower.last_rows(x, tree.rows, branch, tree.mask))

    def adapted(self, inside: Inside, start: int, num_clients: int) -> Tensor:
        """Return unit vectors [G, C, D] of the template prompts.

        inside: trained terms inside blocks start .. L - 1, for `num_clients` clients at once.
        """
        tower, tree = self.clip.text, self._template_tree
        x = self._entry(start).expand(num_clients, -1, -1)
        x = tower.run(x, start, tower.depth - 1, mask=tree.mask, inside=inside)
        return tower.head(tower.last_rows(x, tree.rows, mask=tree.mask, inside=inside))

    def with_context(self, context: Tensor) -> Tensor:
        """Return unit vectors [G, C, D] of "<SOT> context name. <EOT>" (CoOp, class token last).

        context: [G, n, W] learned vectors, the same for all classes of a client.
        """
        tower, num_context = self.clip.text, context.shape[1]
        tree = self._prompt(num_context)
        frozen = self._embed(tree).expand(len(context), -1, -1)
        context = context.to(self.clip.wide) + self.clip.embed_text.position[1 : 1 + num_context]
        x = torch.cat([frozen[:, :1], context, frozen[:, 1 + num_context :]], dim=1)
        x = tower.run(x, 0, tower.depth - 1, mask=tree.mask)
        return tower.head(tower.last_rows(x, tree.rows, mask=tree.mask))

    def context_bytes(self, num_context: int) -> int:
        """Estimate what `with_context` keeps for the gradient of one context."""
        return self.clip.text.kept_bytes(len(self._prompt(num_context).ids))

    @torch.no_grad()
    def placeholder(self, num_context: int) -> Tensor:
        """Return unit vectors [C, D] of "<SOT> X X X name. <EOT>", an X for each context vector.

        It is what `with_context` replaces the context in, run once as it stands.
        """
        if num_context not in self._placeholders:
            ids = self.clip.tokenizer([" ".join(["X"] * num_context)]).to(self.clip.device)
            context = self.clip.embed_text.token[ids[:, 1 : 1 + num_context]]
            self._placeholders[num_context] = self.with_context(context)[0]
        return self._placeholders[num_context]

    @cached_property
    def _template_tree(self) -> Tree:
        return self._tree([self.template.format(name) for name in self.names])

    @torch.no_grad()
    def _fork(self, start: int) -> tuple[Tensor, Tensor]:
        if start not in self._forks:
            tower, tree = self.clip.text, self._template_tree
            self._forks[start] = tower.fork(self._entry(start), start, tree.mask)
        return self._forks[start]

    @torch.no_grad()
    def _entry(self, start: int) -> Tensor:
        if start not in self._entries:
            tree = self._template_tree
            self._entries[start] = self.clip.text.run(self._embed(tree), 0, start, mask=tree.mask)
        return self._entries[start]

    def _prompt(self, num_context: int) -> Tree:
        if num_context not in self._prompts:
            holders = " ".join(["X"] * num_context)  # one token each, as in CoOp
            self._prompts[num_context] = self._tree([f"{holders} {name}." for name in self.names])
        return self._prompts[num_context]

    def _tree(self, texts: list[str]) -> Tree:
        ids = self.clip.tokenizer(texts)
        return Tree.grow(ids, self.clip.embed_text.eot_index(ids)).to(self.clip.device)

    def _embed(self, tree: Tree) -> Tensor:
        """Return [1, T, W]."""
        embedding = self.clip.embed_text
        x = embedding.token[tree.ids].to(self.clip.wide)
        return (x + embedding.position[tree.position])[None]


class PlainText(ClassText):
    """The plain form: every sequence whole and for itself, all tokens of all blocks."""

    def branched(self, branch: Branch | None, start: int, num_clients: int) -> Tensor:
        """Return unit vectors [G, C, D] of the template prompts."""
        ids = self._ids([self.template.format(name) for name in self.names])
        with torch.no_grad():
            x = self.clip.text.run(self._whole(ids), 0, start, mask=self._causal)
        return self._encode(x.repeat(num_clients, 1, 1), ids, start, branch)

    def adapted(self, inside: Inside, start: int, num_clients: int) -> Tensor:
        """Return unit vectors [G, C, D] of the template prompts."""
        ids = self._ids([self.template.format(name) for name in self.names])
        with torch.no_grad():
            x = self.clip.text.run(self._whole(ids), 0, start, mask=self._causal)
        return self._encode(x.repeat(num_clients, 1, 1), ids, start, None, inside)

    def with_context(self, context: Tensor) -> Tensor:
        """Return unit vectors [G, C, D] of "<SOT> context name. <EOT>"."""
        num_clients, num_context = context.shape[:2]
        ids = self._ids([" ".join(["X"] * num_context + [f"{name}."]) for name in self.names])
        x = self._whole(ids).repeat(num_clients, 1, 1)
        context = context.to(self.clip.wide) + self.clip.embed_text.position[1 : 1 + num_context]
        context = context.repeat_interleave(len(self.names), dim=0)
        x = torch.cat([x[:, :1], context, x[:, 1 + num_context :]], dim=1)
        return self._encode(x, ids, 0, None)

    def context_bytes(self, num_context: int) -> int:
        """Estimate what `with_context` keeps for the gradient of one context."""
        return self.clip.text.kept_bytes(len(self.names) * len(self.clip.embed_text.position))

    def _encode(
        self,
        x: Tensor,
        ids: Tensor,
        start: int,
        branch: Branch | None,
        inside: Inside = nothing_inside,
    ) -> Tensor:
        tower = self.clip.text
        x = tower.run(x, start, tower.depth, branch, self._causal, inside)
        row = self.clip.embed_text.eot_index(ids).repeat(len(x) // len(ids))
        pooled = x[torch.arange(len(x), device=x.device), row]
        return tower.head(pooled).unflatten(0, (-1, len(ids)))

    @cached_property
    def _causal(self) -> Tensor:
        length = len(self.clip.embed_text.position)
        return torch.ones(length, length, dtype=torch.bool, device=self.clip.device).tril()

    def _ids(self, texts: list[str]) -> Tensor:
        words = tuple(texts)
        if words not in self._tokens:
            self._tokens[words] = self.clip.tokenizer(texts).to(self.clip.device)
        return self._tokens[words]

    def _whole(self, ids: Tensor) -> Tensor:
        """Return [C, L, W]."""
        embedding = self.clip.embed_text
        return embedding.token[ids].to(self.clip.wide) + embedding.position


def class_text(
    clip: FrozenCLIP, names: tuple[str, ...], template: str, is_trained: bool = True
) -> ClassText:
    """Return the text side of these classes, in the form that the CLIP runs in."""
    return (PlainText if clip.plain else ClassText)(clip, names, template, is_trained)
