"""Class names as the text tower sees them: cut at EOT, their common prefix run once."""

from collections.abc import Mapping
from copy import copy
from functools import cached_property
from itertools import chain

import torch
import torch.nn.functional as F
from torch import Tensor

from pfedmma_dist.clip.low_rank import Inside
from pfedmma_dist.clip.model import FrozenCLIP
from pfedmma_dist.clip.prompted import Prompts
from pfedmma_dist.clip.text_tree import Filling, Trees, Wording
from pfedmma_dist.clip.tower import Branch

TOGETHER = 64
"""Texts that are run as one: what each token reads grows with the square of all."""


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
        self._trees = Trees(clip, names, template)
        self._placeholders: dict[int, Tensor] = {}
        self._forks: dict[int, tuple[Tensor, Tensor]] = {}
        self._entries: dict[int, Tensor] = {}
        self._ensembles: dict[tuple[tuple[str, ...], bool], Tensor] = {}
        self._described: dict[tuple[tuple[str, ...], ...], Tensor] = {}
        self._tokens: dict[tuple[str, ...], tuple[Tensor, list[int]]] = {}  # of the plain form

    @cached_property
    @torch.no_grad()
    def plain(self) -> Tensor:
        """Unit vectors [C, D] of the untouched CLIP: the zero-shot classifier."""
        return self.branched(None, 0, 1)[0]

    @torch.no_grad()
    def ensemble(self, templates: tuple[str, ...], *, unit: bool = True) -> Tensor:
        """Return unit vectors [C, D] of the untouched CLIP: the mean of each template's vectors,
        normalised again (Radford et al., 2021, section 3.1.4).

        unit: whether these count by direction alone, or as long as the tower leaves them.
        """
        if (templates, unit) not in self._ensembles:
            texts = [type(self)(self.clip, self.names, template) for template in templates]
            each = [text.branched(None, 0, 1, unit=unit)[0] for text in texts]
            self._ensembles[templates, unit] = F.normalize(torch.stack(each).mean(dim=0), dim=1)
        return self._ensembles[templates, unit]

    def described(self, texts: tuple[tuple[str, ...], ...]) -> Tensor:
        """Return unit vectors [C, a, D] of the untouched CLIP: of a texts of each class, as they
        stand."""
        if texts not in self._described:
            every = tuple(chain.from_iterable(texts))
            parts = [every[at : at + TOGETHER] for at in range(0, len(every), TOGETHER)]
            found = [type(self)(self.clip, part, "{}").plain for part in parts]
            self._described[texts] = torch.cat(found).unflatten(0, (len(texts), -1))
        return self._described[texts]

    def merged(self, clip: FrozenCLIP, start: int) -> "ClassText":
        """Return these classes in a CLIP whose text tower is another one from block `start` on."""
        own = copy(self)
        own.__dict__.pop("plain", None)
        own.clip, own._placeholders, own._forks, own._ensembles = clip, {}, {}, {}
        own._described = {}
        own._entries = {start: self._entry(start)}
        return own

    def branched(
        self, branch: Branch | None, start: int, num_clients: int, *, unit: bool = True
    ) -> Tensor:
        """Return vectors [G, C, D] of the template prompts, of length 1 where `unit`.

        branch: trained part beside blocks start .. L - 1, for `num_clients` clients at once.
        """
        tower, tree = self.clip.text, self._trees.template
        if branch is None:
            x = tower.run(self._trees.embedded(tree), 0, tower.depth - 1, mask=tree.mask)
            return tower.head(tower.last_rows(x, tree.rows, mask=tree.rows_mask), unit=unit)
        h, x = (part.expand(num_clients, -1, -1) for part in self._fork(start))
        x = x + branch(start, h)
        if start == tower.depth - 1:
            return tower.head(x[:, tree.rows], unit=unit)
        x = tower.run(x, start + 1, tower.depth - 1, branch, tree.mask)
        return tower.head(tower.last_rows(x, tree.rows, branch, tree.rows_mask), unit=unit)

    def adapted(self, inside: Inside, start: int, num_clients: int) -> Tensor:
        """Return unit vectors [G, C, D] of the template prompts.

        inside: trained terms inside blocks start .. L - 1, for `num_clients` clients at once.
        """
        tower, tree = self.clip.text, self._trees.template
        x = self._entry(start).expand(num_clients, -1, -1)
        x = tower.run(x, start, tower.depth - 1, mask=tree.mask, inside=inside)
        return tower.head(tower.last_rows(x, tree.rows, mask=tree.rows_mask, inside=inside))

    def with_context(
        self, context: Tensor, before: int | None = None, *, unit: bool = True
    ) -> Tensor:
        """Return vectors [G, C, D] of "<SOT> context name. <EOT>" (CoOp, class token last).

        context: [G, n, W] learned vectors, the same for all classes of a client. before: how many
        of them stand before the name, and the others behind it; None: all. unit: of length 1, or
        as the tower leaves them.
        """
        before = context.shape[1] if before is None else before
        prompts = self._trees.filling(Wording(before, context.shape[1] - before))
        return self._run(prompts, context, before, unit=unit)

    def without_name(self, context: Tensor) -> Tensor:
        """Return unit vectors [G, D] of "<SOT> context. <EOT>", of contexts [G, n, W]."""
        num_context = context.shape[1]
        prompts = self._trees.filling(Wording(num_context, named=False))
        return self._run(prompts, context, num_context)[:, 0]

    def prompted(self, vectors: Mapping[int, Tensor], words: str = "") -> Tensor:
        """Return unit vectors [G, C, D] of prompts whose first places learned vectors take.

        vectors: block -> [G, n, W], what they are at its input (IVLP). From block 0 on the prompts
        are "<SOT> vectors words name. <EOT>", the vectors' positions added; from a block above it
        on they are the template's, and as many of its first tokens are replaced there.
        """
        tower, start = self.clip.text, min(vectors)
        if start:
            tree, x = self._trees.template, self._entry(start)
            self._check_room(vectors[start].shape[1])
            x, rest = x.expand(len(vectors[start]), -1, -1), vectors
        else:
            prompts = self._trees.filling(Wording(vectors[0].shape[1], words=words))
            tree, x = prompts.tree, prompts.filled(vectors[0], vectors[0].shape[1])
            rest = {block: each for block, each in vectors.items() if block}
        given = Prompts(1, rest)
        x = tower.run(x, start, tower.depth - 1, mask=tree.mask, prompts=given)
        return tower.head(tower.last_rows(x, tree.rows, mask=tree.rows_mask, prompts=given))

    def _check_room(self, num_vectors: int) -> None:
        """Refuse more vectors than the template has tokens before the name."""
        before = self.clip.tokenizer([self.template.partition("{}")[0]])
        room = int(self.clip.embed_text.eot_index(before)) - 1
        if num_vectors > room:
            raise ValueError(
                f"method.num_context: {num_vectors} vectors are to take the places of words before "
                f"the class name, and data.template={self.template!r} has {room} tokens there; "
                "set fewer, another data.template, or method.start=0"
            )

    def with_class_tokens(self, context: Tensor, tokens: Tensor, start: int) -> Tensor:
        """Return unit vectors [G, C, D] of "<SOT> context name. <EOT>", where block `start` is
        given other vectors, of each class, in the places of the context (TCP).

        context: [G, n, W] learned vectors. tokens: [G, C, n, W], without positions.
        """
        tower, num_context = self.clip.text, context.shape[1]
        prompts = self._trees.filling(Wording(num_context, parts=True))
        x = prompts.filled(context, num_context)
        x = tower.run(x, 0, start, mask=prompts.tree.mask)
        tree = self._trees.parted(num_context)
        tokens = tokens.to(x.dtype).flatten(1, 2)
        x = torch.cat([x[:, :1], tokens, x[:, 1 + num_context :]], dim=1)
        x = tower.run(x, start, tower.depth - 1, mask=tree.mask)
        return tower.head(tower.last_rows(x, tree.rows, mask=tree.rows_mask))

    def context_bytes(self, num_context: int) -> int:
        """Estimate what `with_context` keeps for the gradient of one context."""
        num_tokens = len(self._trees.prompt(Wording(num_context)).ids)
        return self.clip.text.kept_bytes(num_tokens, num_tokens)

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

    @torch.no_grad()
    def _fork(self, start: int) -> tuple[Tensor, Tensor]:
        if start not in self._forks:
            tower, tree = self.clip.text, self._trees.template
            self._forks[start] = tower.fork(self._entry(start), start, tree.mask)
        return self._forks[start]

    @torch.no_grad()
    def _entry(self, start: int) -> Tensor:
        if start not in self._entries:
            tree = self._trees.template
            self._entries[start] = self.clip.text.run(
                self._trees.embedded(tree), 0, start, mask=tree.mask
            )
        return self._entries[start]

    def _run(self, prompts: Filling, context: Tensor, before: int, *, unit: bool = True) -> Tensor:
        """Return vectors [G, C, D] of prompts that hold contexts [G, n, W]."""
        tower, tree = self.clip.text, prompts.tree
        x = tower.run(prompts.filled(context, before), 0, tower.depth - 1, mask=tree.mask)
        return tower.head(tower.last_rows(x, tree.rows, mask=tree.rows_mask), unit=unit)
