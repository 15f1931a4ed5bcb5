"""Earlier: what a run began on where a later start goes on with another program or machine.

Bits are promised for one version of everything; a run that was resumed on another has none of
either alone, and says so.
"""

from collections.abc import Mapping
from typing import Any

from pfedmma_dist.reading import Unreadable, read_json
from pfedmma_dist.run.folder import RunFolder

EARLIER = "earlier"
"""Where environment.json keeps what it said before, oldest first."""

REVISION = "git_revision"
BITS = (
    "pfedmma_dist", REVISION, "code", "python", "torch", "open_clip_torch", "numpy", "cuda",
    "processor", "gpu",
)  # fmt: skip
"""What of an environment can reach a bit."""

REMEDY = "restore it from a copy"


def with_earlier(folder: RunFolder, now: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Return the environment of this start with those before that differ from it, and what there is
    to say of the last of them; nothing where it is the same or not known.

    folder: of a run that goes on. now: what `environment` returned.
    """
    try:
        was = read_json(folder.environment, dict, REMEDY)
    except (FileNotFoundError, Unreadable):
        return dict(now), ""
    before = was.pop(EARLIER, [])
    past = [one for one in before if isinstance(one, dict)] if isinstance(before, list) else []
    is_same_code = "code" in was and was["code"] == now.get("code")  # at a commit of pages, say
    told = [
        f"{key}: {was[key]} then, {now[key]} now"
        for key in BITS
        if key in was and key in now and was[key] != now[key]
        and not (key == REVISION and is_same_code)
    ]  # fmt: skip
    kept = past + ([{key: was[key] for key in BITS if key in was}] if told else [])
    words = (
        f"{folder.path} goes on with another program or machine than it began with "
        f"({'; '.join(told)}): its bits will be those of neither alone; restore what was there, or "
        "set run.folder to a new folder to train all of it with this"
    )
    return {**now, **({EARLIER: kept} if kept else {})}, words if told else ""
