"""Simulation: a run as an object, for programs and notebooks."""

import sys
import weakref
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any

from pfedmma_dist.config.identity import run_folder
from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.written import to_yaml
from pfedmma_dist.methods import METHODS
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.simulation.callbacks import Listener, Listeners
from pfedmma_dist.simulation.clients import Clients
from pfedmma_dist.simulation.examination import Examination
from pfedmma_dist.simulation.opening import What, dotted, opened, unread_keys, words_of
from pfedmma_dist.simulation.ranks import joined
from pfedmma_dist.simulation.reached import clients_of, has_state, is_finished, result_of
from pfedmma_dist.simulation.records import Result, Round, Scored
from pfedmma_dist.simulation.session import Session
from pfedmma_dist.simulation.work import Voice, tell
from pfedmma_dist.start import agree
from pfedmma_dist.world import World


class Simulation:
    """One run, which lives in its folder: begun here, or gone on with.

    It computes what `python -m pfedmma_dist.train` computes, to the same bits, and leaves the same
    files. Between two calls it holds the folder and the memory of the run; `close`, or the end of
    a `with` block, gives both back. Under torchrun or srun every rank makes the same calls.
    """

    def __init__(self, config: Config, *, quiet: bool = False) -> None:
        """config: as `open` makes it of files and keys, which is the usual way. quiet: say nothing
        on standard error."""
        self.config = opened([config], {})
        self.quiet = quiet
        self._world: World | None = None
        self._session: Session | None = None
        self._examination: Examination | None = None
        self._walk: weakref.ref[Generator[Round, None, None]] | None = None

    @classmethod
    def open(cls, *what: What, quiet: bool = False, **changes: Any) -> "Simulation":
        """Return the simulation of a configuration, or of a run folder, without starting it.

        what: read from left to right, the last value of a key wins: files and presets, as
        "configs/method/pfedmma.yaml"; dicts of dotted keys, as {"optim.lr": 0.01}; a Config; the
        folder of a run, to look at it or to go on with it; "key=value" as on the command line.
        changes: the same as a dict, with __ for the dot: optim__lr=0.01. Without a file and without
        data.name it is a run in the embedded world, which needs no data.

        ValueError for what the command line would refuse, in the same words.
        """
        config = opened(what, changes)
        simulation = cls(config, quiet=quiet)
        tell(Voice(simulation.world, quiet=quiet), unread_keys(what, changes, config))
        return simulation

    @property
    def folder(self) -> Path:
        """The run folder, which is made when training begins."""
        return run_folder(self.config, METHODS)

    @property
    def world(self) -> World:
        """This process's rank among all; `first` says whether it is the one that writes."""
        if self._world is None:
            run = self.config.run
            self._world = joined(run.device, run.patience)
            agree(self.config, self._world)
        return self._world

    @property
    def is_finished(self) -> bool:
        """Whether all rounds are done and the result is written."""
        return is_finished(self.config, RunFolder(self.folder))

    @property
    def result(self) -> Result:
        """What the finished run has reached; ValueError where it is not finished."""
        return result_of(self.config, RunFolder(self.folder))

    @property
    def clients(self) -> Clients:
        """All clients, with their numbers as they are now, each a copy: `clients[7].classes`."""
        session = self._session
        if session is not None and session.federation is not None and not session.is_finished:
            return Clients(session.federation, session.scores, session.at_work)
        if session is not None and session.federation is not None:
            return Clients(session.federation, clients_of(session.training.folder), session.at_work)
        apart = self._apart()
        return Clients(apart.federation, apart.scores, apart.at_work)

    def train(self, *listeners: Listener) -> None:
        """Run all rounds that are left, or go on with them, until the run is finished or a listener
        asks to stop.

        listeners: objects of subclasses of `Callback`, or functions of a `Round`; one whose
        `on_round` returns True stops the run with all that is done saved, and the next `train` goes
        on from there to the same bits. Ctrl-C and other signals let the round finish and be saved
        as well, before KeyboardInterrupt, or SystemExit with code 75, is raised.
        """
        told = Listeners(listeners)
        told.on_start(self)
        was_finished = self.is_finished
        with closing(self._begin_walk(holds_signals=True)) as walk:
            for record in walk:
                if told.on_round(record):
                    break
        if self.is_finished and not was_finished:
            told.on_finish(self.result)

    def rounds(self) -> Iterator[Round]:
        """Return an iterator over the rounds that are left, each trained when it is asked for.

        Leaving the loop saves what is done; another loop, or `train`, goes on from there to the
        same bits. Between two rounds signals are the program's own. Under several ranks all of them
        leave where one does.
        """
        return self._begin_walk()

    def score(self, changes: Mapping[str, Any] | None = None, **more: Any) -> Scored:
        """Score every client on all test sets as it is now, and zero-shot CLIP beside it.

        changes, more: keys that may differ from the run's, as `pfedmma_dist.evaluate` takes them:
        another prompt (data.template), another data set (data.name), batch sizes. The run itself
        is left as it is, and nothing is written.
        """
        session, changed = self._session, [changes] if changes else []
        if session is not None and session.run is not None and not (changed or more):
            return session.score()
        self._save()
        folder, words = RunFolder(self.folder), words_of([*changed, dotted(more)])
        if not has_state(self.config, folder):
            raise ValueError(f"run.folder: {folder.path} holds nothing to score yet; train() first")
        config = opened([folder.path, *changed], more)
        return Examination(config, folder, self.world, has_begun=True, quiet=self.quiet).score(
            words
        )

    def close(self) -> None:
        """Save what is done, close the files and let others into the run folder.

        A later call opens it again. Under several ranks all of them close.
        """
        self._leave_walk()
        self._examination = None
        self._drop()

    def _begin_walk(self, *, holds_signals: bool = False) -> Generator[Round, None, None]:
        """Return the one iterator over rounds that is alive; an older one is left."""
        self._leave_walk()
        walk = self._each(holds_signals)
        self._walk = weakref.ref(walk)
        return walk

    def _leave_walk(self) -> None:
        """Leave the rounds, if a loop still holds them; what is done is saved."""
        walk = None if self._walk is None else self._walk()
        self._walk = None
        if walk is not None:
            walk.close()

    def _each(self, holds_signals: bool) -> Generator[Round, None, None]:
        self._examination = None  # what it has seen grows old
        if self._session is None:
            self._session = Session(self.config, self.world, quiet=self.quiet)
        session, is_whole = self._session, False
        try:
            with session.stop if holds_signals else nullcontext():
                if not session.is_finished:
                    yield from session.rounds()
            is_whole = True
        except GeneratorExit:  # left, and saved
            is_whole = True
            raise
        finally:
            if not is_whole:  # what is in memory may be half done: the checkpoint counts
                self._drop()
        if session.is_paused:
            self._drop()
        elif session.is_finished:
            session.close()  # others may look; its numbers stay in memory

    def _drop(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _save(self) -> None:
        if self._session is not None:
            self._session.save()

    def _apart(self) -> Examination:
        """Return the run as its folder has it, or as it will begin."""
        if self._examination is None:
            folder = RunFolder(self.folder)
            has_begun = has_state(self.config, folder)
            config = opened([folder.path], {}) if has_begun else self.config
            self._examination = Examination(
                config, folder, self.world, has_begun=has_begun, quiet=self.quiet
            )
        return self._examination

    def __enter__(self) -> "Simulation":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        session = getattr(self, "_session", None)
        # A notebook's cell that runs again needs the folder; a process that ends leaves it anyway.
        if session is not None and not sys.is_finalizing():
            session.close()

    def __repr__(self) -> str:
        method, data = self.config.method["name"], self.config.data.name
        return f"Simulation({method} on {data}, seed {self.config.seed}, in {self.folder})"

    def to_yaml(self) -> str:
        """Return the whole configuration as YAML, for a file that a command reads."""
        return to_yaml(self.config)
