"""System: folders and files that computers put beside images, and nobody means as data."""

SNAPSHOTS = frozenset({".snapshot", ".snapshots", ".zfs", "@recently-snapshot"})
"""Folders with older copies of all that lies beside them: never looked into, not even to count."""

FOLDERS = SNAPSHOTS | {
    "$recycle.bin",
    "#recycle",
    "#snapshot",
    "@eadir",
    "@recycle",
    "@sharebin",
    "@tmp",
    "@__thumb",
    ".appledouble",
    ".fseventsd",
    ".git",
    ".ipynb_checkpoints",
    ".spotlight-v100",
    ".temporaryitems",
    ".thumbnails",
    ".trash",
    ".trashes",
    "__macosx",
    "__pycache__",
    "found.000",
    "lost+found",
    "network trash folder",
    "system volume information",
    "temporary items",
}
"""Names of folders, in lower case: Synology's and QNAP's, macOS's, Windows', Linux' and Jupyter's.
A reader passes them over wherever it looks for folders, and the account counts what they hold."""

FILES = frozenset(
    {".directory", ".ds_store", ".localized", "aquota.group", "aquota.user", "desktop.ini"}
    | {"ehthumbs.db", "icon\r", "thumbs.db"}
)
"""Names of files, in lower case."""

BEGINNINGS = ("._", ".nfs", ".fuse_hidden", ".~lock.")
"""Of names of files: AppleDouble's other halves, and what networks and offices leave."""

ENDS = (":zone.identifier", "@synoeastream", "@synoresource")


def is_system_folder(name: str) -> bool:
    """Say whether a folder of this name is a computer's own."""
    return name.lower() in FOLDERS or name.startswith(".Trash-")


def system_file(name: str) -> str:
    """Return what a computer's own file of this name is called, empty where it is none."""
    lower = name.lower()
    if lower in FILES:
        return name
    if lower.startswith(BEGINNINGS):
        return f"{next(each for each in BEGINNINGS if lower.startswith(each))}*"
    if lower.endswith(ENDS):
        return f"*{next(each for each in ENDS if lower.endswith(each))}"
    return ""
