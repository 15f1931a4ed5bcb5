"""What a run ran on: versions, hardware, code revision and memory, for the record."""

import hashlib
import os
import platform
import resource
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import pfedmma_dist
from pfedmma_dist.world import World

PACKAGES = ("torch", "open_clip_torch", "numpy")

MIB = 2**20


def environment(world: World) -> dict[str, Any]:
    """Return what a reader needs to repeat the run, as plain JSON values."""
    package = Path(pfedmma_dist.__file__).parent
    gpu = torch.cuda.get_device_name(world.device) if world.device.type == "cuda" else None
    return {
        "pfedmma_dist": pfedmma_dist.__version__,
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
        "cuda": torch.version.cuda,
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "gpu": gpu,
        "ranks": world.size,
        "ranks_per_host": world.host_size,
        "threads_per_rank": torch.get_num_threads(),
        "git_revision": git_revision(package),
        "code": code(package),
        "argv": sys.argv,
    }


def code(package: Path) -> str:
    """Return a digest of a package's Python files, which tells what neither version nor revision
    does: an edited file, or an installed copy."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def git_revision(package: Path) -> str | None:
    """Return the commit of the checkout that tracks `package`, `-dirty` where files differ.

    None without git, and for a package that merely lies inside somebody else's checkout, as an
    environment folder does.
    """
    tracked = _git(package, "ls-files", "--error-unmatch", "__init__.py")
    if tracked is None:
        return None
    return _git(package, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def memory_mib(device: torch.device) -> tuple[float, float | None]:
    """Return the peak resident memory of this process and the peak of its GPU's tensors, MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    resident = peak / MIB if sys.platform == "darwin" else peak / 1024  # Linux counts in KiB
    if device.type != "cuda":
        return resident, None
    return resident, torch.cuda.max_memory_allocated(device) / MIB


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _git(folder: Path, *words: str) -> str | None:
    """Return what git says in `folder`, None where it is absent or refuses."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=20
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
