"""Whose state a run folder holds: this run's, of these images and these weights, or another's."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pfedmma_dist import files_read, plugins
from pfedmma_dist.alike import refuse_other_facts
from pfedmma_dist.build import used_rows
from pfedmma_dist.config.identity import flat
from pfedmma_dist.data.tasks import inputs
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.files_read import digests, refuse_altered
from pfedmma_dist.reading import Unreadable, read_rows
from pfedmma_dist.run import manifest
from pfedmma_dist.run.files import write_text_atomically
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.manifest import DAMAGE, Manifest, candidates
from pfedmma_dist.run.together import TogetherError

SIDES = {
    "image": "the image tower's weights differ",
    "text": "the text tower's weights differ",
}


FROM = ("clip.model", "clip.pretrained")
"""Keys that say where weights come from."""


class Owner:
    """All that decides what a federation's state means, in digests."""

    def __init__(self, federation: Federation, folder: RunFolder) -> None:
        """federation: assembled from a settled configuration."""
        cfg, task = federation.cfg, federation.task
        rows = used_rows(task)
        self.folder, self._task, self._rows = folder, task, rows
        clip = federation.clip
        self._cfg, self._world = cfg, federation.world
        self._fingerprint = federation.layout.fingerprint()
        self.facts: dict[str, Any] = {
            "configuration": flat(cfg),
            "task": inputs.facts(task, rows, by_row=cfg.data.views != 1),
            "weights": {"image": clip.image_hash(), "text": clip.text_hash()},
        }
        read = digests(cfg) if federation.world.first else {}  # for rank 0 to write down
        if read:
            self.facts[files_read.KEY] = read
        self.code = plugins.record(cfg.plugins)
        if self.code:
            self.facts[plugins.KEY] = self.code
        if federation.plan is not None:
            self.facts["task"]["plan"] = federation.plan.digest
        if federation.clock is not None:
            self.facts["task"]["clock"] = federation.clock.digest

    def agree(self) -> None:
        """Raise TogetherError where a rank has read something else than rank 0. Collective."""
        task, weights = self.facts["task"], self.facts["weights"]
        dealt = {key: task[key] for key in ("labels", "owners", "scored", "scaling")}
        read = (
            ("clip.pretrained", weights),
            ("data.class_names, or the set's own", task["classes"]),
            ("federation.plan", task.get("plan")),
            ("system.profiles", task.get("clock")),
            ("data.root", dealt),
            ("method.*, the files that it names", self._fingerprint),
        )
        refuse_other_facts([(what, repr(value)) for what, value in read], self._world)

    def check(self, path: Path, record: Manifest) -> None:
        """Raise TogetherError where a checkpoint belongs to other images or weights."""
        found = self.differences(record.meta) if record.format > 0 else []
        if found:
            raise TogetherError(
                f"run.folder: {path} was trained on something else than this start would go on "
                f"with: {'; '.join(found)}; restore it to go on with that run, or set run.folder "
                "to a new folder"
            )
        self.refuse_altered(path, record)
        self._remember(record.meta.get(plugins.KEY, []))

    def refuse_altered(self, path: Path, record: Manifest) -> None:
        """Raise TogetherError where files that the method reads have changed since a checkpoint."""
        refuse_altered(self._cfg, self._fingerprint, path, record)

    def _remember(self, saved: plugins.Record) -> None:
        """Keep the digests of code that had a part in the run and has changed since."""
        then = {one["name"]: one for one in saved}
        for one in self.code:
            was = then.get(one["name"], one)
            earlier = [*was.get("earlier", []), was["digest"], *one.get("earlier", [])]
            others = [digest for digest in dict.fromkeys(earlier) if digest != one["digest"]]
            if others:
                one["earlier"] = others

    def check_newest(self) -> None:
        """Look at the newest checkpoint that can be read, before any work is done for it."""
        for path in candidates(self.folder.checkpoints):
            try:
                record = manifest.read(path)
            except DAMAGE:
                continue
            self.check(path, record)
            break

    def differences(self, saved: Mapping[str, Any]) -> list[str]:
        """Say which images, classes, divisions or weights are not those that were written down."""
        now = self.facts
        then = here = None
        if saved["task"]["images"] != now["task"]["images"]:
            then, here = self._images_then(saved), dict(inputs.images_of(self._task, self._rows))
        told = inputs.changes(saved["task"], now["task"], then, here or {})
        for side, words in SIDES.items():
            if saved["weights"].get(side) != now["weights"][side]:
                named = (f"{key}={now['configuration'][key]}" for key in FROM)
                told.append(f"{words} ({', '.join(named)})")
        if saved["task"].get("plan") != now["task"].get("plan"):
            told.append("the plan differs (federation.plan)")
        if saved["task"].get("clock") != now["task"].get("clock"):
            told.append(
                "the simulated devices or the operations of a step differ (system.profiles, "
                "system.flops_per_image, the version of PyTorch)"
            )
        return told

    def write_images(self) -> None:
        """Write the table of images, which tells later which of them has changed."""
        write_text_atomically(
            self.folder.images, inputs.table(inputs.images_of(self._task, self._rows))
        )

    def _images_then(self, saved: Mapping[str, Any]) -> dict[str, str] | None:
        """Return the images of the state, None where their table is lost or another's."""
        try:
            lines = read_rows(self.folder.images, inputs.COLUMNS, "")
        except (FileNotFoundError, Unreadable):
            return None
        name, digest = inputs.COLUMNS
        found = {line[name]: line[digest] for line in lines}
        return found if inputs.digest(found.items()) == saved["task"]["images"] else None
