"""Tree: token sequences with a common prefix, packed into one; and the prompts of classes so."""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from pfedmma_dist.clip.model import FrozenCLIP


@dataclass(frozen=True)
class Tree:
    """C token sequences as one: their common prefix, then the rest of each up to its EOT.

    Attention is causal, so nothing behind an EOT is ever read, and the states of the prefix are the
    same in all sequences. 50 classes of Caltech-101 with 16 context vectors are so 190 tokens in
    place of 3,850.
    """

    ids: Tensor  # [T] int64
    position: Tensor  # [T] place of each token in its own sequence
    owner: Tensor  # [T] the sequence of each token, -1 where it is of all
    mask: Tensor  # [T, T] bool: a token reads those before it in its own sequence
    rows: Tensor  # [C] where the EOT of each sequence stands
    rows_mask: Tensor  # [C, T] theirs

    @classmethod
    def grow(cls, ids: Tensor, eot: Tensor, most: Tensor | None = None) -> "Tree":
        """Pack sequences [C, L] that are pooled at `eot` [C].

        most: tokens [C] of each sequence that it may share, at most those in front of its EOT.
        """
        differs = (ids != ids[:1]).any(dim=0)
        first = int(differs.nonzero()[0]) if bool(differs.any()) else ids.shape[1]
        most = eot if most is None else most  # every sequence keeps its EOT for itself
        prefix = min(first, int(most.min()))
        place = torch.arange(ids.shape[1], device=ids.device)
        kept = (place >= prefix) & (place <= eot[:, None])  # [C, L]
        owner, position = kept.nonzero().unbind(dim=1)
        shared = place[:prefix]
        owner = torch.cat([torch.full_like(shared, -1), owner])
        position = torch.cat([shared, position])
        rows = prefix + kept.sum(dim=1).cumsum(dim=0) - 1
        return cls._of(torch.cat([ids[0, :prefix], ids[kept]]), position, owner, rows)

    @classmethod
    def _of(cls, ids: Tensor, position: Tensor, owner: Tensor, rows: Tensor) -> "Tree":
        related = (owner == -1) | (owner == owner[:, None])
        mask = related & (position <= position[:, None])
        return cls(ids, position, owner, mask, rows, mask[rows])

    def parted(self, num_tokens: int) -> "Tree":
        """Return the tree in which every sequence has tokens 1 .. num_tokens for itself.

        They end the prefix, and stand behind token 0 then, sequence by sequence: [1, C n, rest].
        """
        end, count, device = 1 + num_tokens, len(self.rows), self.ids.device
        place = torch.arange(1, end, device=device).repeat(count)
        own = torch.arange(count, device=device).repeat_interleave(num_tokens)
        owner = torch.cat([self.owner[:1], own, self.owner[end:]])
        position = torch.cat([self.position[:1], place, self.position[end:]])
        ids = torch.cat([self.ids[:1], self.ids[place], self.ids[end:]])
        return Tree._of(ids, position, owner, self.rows + (count - 1) * num_tokens)

    def to(self, device: torch.device, dtype: torch.dtype) -> "Tree":
        """Return the tree on a device; on a GPU with masks of a type, as attention adds them."""
        moved = Tree(**{name: value.to(device) for name, value in vars(self).items()})
        if device.type == "cpu":
            return moved
        masks = {name: barred(getattr(moved, name), dtype) for name in ("mask", "rows_mask")}
        return replace(moved, **masks)


@dataclass(frozen=True)
class Wording:
    """Prompts with learned vectors, so many before and behind a name."""

    before: int
    behind: int = 0
    named: bool = True  # else one text without a name
    words: str = ""  # between the vectors and the name
    parts: bool = False  # the name is each sequence's own, too: the prefix ends with the vectors


@dataclass(frozen=True)
class Filling:
    """What is frozen of prompts with learned vectors in a tree."""

    tree: Tree
    places: Tensor  # [R] where the vectors stand
    position: Tensor  # [R, W] what is added to them
    tokens: Tensor  # [1, T, W], with whatever in these places

    def filled(self, context: Tensor, before: int) -> Tensor:
        """Return the tokens [G, T, W] with vectors [G, n, W] in their places; `before` of them
        stand before the name, the others behind that of every class."""
        each = context[:, before:].repeat(1, len(self.tree.rows), 1)
        placed = torch.cat([context[:, :before], each], dim=1).to(self.tokens.dtype)
        tokens = self.tokens.expand(len(context), -1, -1)
        return tokens.index_copy(1, self.places, placed + self.position)


class Trees:
    """The prompts of C classes as trees, each packed at its first use."""

    def __init__(self, clip: FrozenCLIP, names: tuple[str, ...], template: str) -> None:
        """template: prompt of the fixed-text methods, `{}` standing for the name."""
        self._clip, self._names, self._template = clip, names, template
        self._prompts: dict[Wording, Tree] = {}
        self._fillings: dict[Wording, Filling] = {}
        self._parted: dict[int, Tree] = {}

    @cached_property
    def template(self) -> Tree:
        """The template with each name in it."""
        ids, eot = self._read([self._template.format(name) for name in self._names])
        return self._placed(Tree.grow(ids, eot))

    def prompt(self, of: Wording) -> Tree:
        """Return the tree of `texts`: what is behind a name is each sequence's own."""
        if of not in self._prompts:
            ids, eot = self._read(self.texts(of))
            most = eot - (1 + of.behind if of.behind else 0)
            most = torch.full_like(eot, 1 + of.before) if of.parts else most
            self._prompts[of] = self._placed(Tree.grow(ids, eot, most))
        return self._prompts[of]

    def parted(self, num_context: int) -> Tree:
        """Return the tree of prompts in which every class has so many vectors of its own."""
        if num_context not in self._parted:
            tree = self.prompt(Wording(num_context, parts=True)).parted(num_context)
            self._parted[num_context] = self._placed(tree)
        return self._parted[num_context]

    def filling(self, of: Wording) -> Filling:
        """Return what is frozen of the prompts that `prompt` packs."""
        if of not in self._fillings:
            tree = self.prompt(of)
            ends = torch.arange(-of.behind, 0, device=tree.rows.device) - 1  # each before its "."
            places = torch.arange(1, 1 + of.before, device=ends.device)
            places = torch.cat([places, (tree.rows[:, None] + ends).flatten()])
            position = self._clip.embed_text.position[tree.position[places]]
            self._fillings[of] = Filling(tree, places, position, self.embedded(tree))
        return self._fillings[of]

    def embedded(self, tree: Tree) -> Tensor:
        """Return the tokens [1, T, W] of a tree in their places."""
        embedding = self._clip.embed_text
        x = embedding.token[tree.ids].to(self._clip.wide)
        return (x + embedding.position[tree.position])[None]

    def texts(self, of: Wording) -> list[str]:
        """Return "X X words name X X .", or one text without a name; an X is one token, as in
        CoOp."""
        front, back = (["X"] * count for count in (of.before, of.behind))
        front += of.words.split()
        names = self._names if of.named else ("",)
        if not of.behind:
            return [" ".join([*front, f"{name}."]) for name in names]
        return [" ".join([*front, name, *back, "."]) for name in names]

    def _placed(self, tree: Tree) -> Tree:
        return tree.to(self._clip.device, self._clip.text.dtype)

    def _read(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """Return token ids [C, L] and where each sequence ends [C]."""
        ids = self._clip.tokenizer(texts)
        return ids, self._clip.embed_text.eot_index(ids)


def barred(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Return what lets attention read where a mask [C, T] says so, when added to its scores.

    A GPU's kernels would make it anew at each call, and again where rows do not start at multiples
    of 16 bytes.
    """
    count, length = mask.shape
    added = torch.zeros(count, -(-length // 8) * 8, dtype=dtype, device=mask.device)[:, :length]
    return added.masked_fill_(~mask, -torch.inf)
