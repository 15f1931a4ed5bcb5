"""Take methods home in every form: `python -m benchmarks.take_home [--forms a,b] [METHOD ...]`.

Heads of all methods, or of these, on a tiny CLIP of random weights and with numbers that are drawn
go out in every form that holds them. A fresh environment, which has the packages that are installed
here and not this program, then answers the images that lie beside each, and a line says how far it
is from us; one that no form holds, or a form that does not hold it, is listed with the reason.
Exit code 1 where any is further than is allowed, or none was written.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "home")]

from exported import small_run, taken_of  # noqa: E402 (of the tests, which are no package)

from pfedmma_dist.home.exporting import FORMS  # noqa: E402
from pfedmma_dist.home.folder import export  # noqa: E402
from pfedmma_dist.methods import METHODS  # noqa: E402

OURS = ("pfedmma_dist", "launch", "__editable__")
"""Beginnings of what this program is installed as."""

ASK = """
import json, sys
from pathlib import Path
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

try:
    import pfedmma_dist
except ImportError:
    pass
else:
    sys.exit("this program is importable here: the environment is not fresh")

def personal(folder, told, images):
    import open_clip
    sys.path.insert(0, str(folder))
    sys.modules.pop("personal_clip", None)
    import personal_clip
    clip = open_clip.CLIP(**json.loads((folder / "clip_model.json").read_text()))
    found = personal_clip.load(folder, clip)(images)
    sys.path.pop(0)
    return found

def by_classes(folder, told, seen):
    classes = load_file(folder / "classes.safetensors")["classes"]
    return told["scale"] * F.normalize(seen, dim=1) @ classes.T

def open_clip_(folder, told, images):
    import open_clip
    clip = open_clip.create_model(f"local-dir:{folder}").eval()
    return by_classes(folder, told, clip.encode_image(images))

def peft_(folder, told, images):
    from peft import PeftModel
    from transformers import CLIPConfig, CLIPModel
    base = CLIPModel(CLIPConfig.from_dict(told["base_model"]))
    base.load_state_dict(load_file(folder.parent / "base.safetensors"), strict=False)
    model = PeftModel.from_pretrained(base, str(folder)).eval()
    seen = model.get_image_features(pixel_values=images)
    return by_classes(folder, told, seen if isinstance(seen, torch.Tensor) else seen.pooler_output)

def torch_(folder, told, images):
    model = torch.export.load(folder / "personal.pt2").module()
    return torch.cat([model(x) for x in images.split(told["batch"] or len(images))])

def onnx_(folder, told, images):
    import onnxruntime
    session = onnxruntime.InferenceSession(str(folder / "personal.onnx"))
    parts = images.split(told["batch"] or len(images))
    return torch.cat([torch.from_numpy(session.run(None, {"images": x.numpy()})[0]) for x in parts])

READERS = {"classes": personal, "module": personal, "open_clip": open_clip_, "peft": peft_,
           "torch": torch_, "onnx": onnx_}
for folder in map(Path, sys.argv[1:]):
    told = json.loads((folder / "export.json").read_text())
    check = load_file(folder / "check.safetensors")
    with torch.no_grad():
        found = READERS[told["form"]](folder, told, check["images"])
    difference = float((found - check["logits"]).abs().max())
    print(json.dumps([folder.name, difference, told["check"]["allowed"]]), flush=True)
"""


def main() -> int:
    """Write, ask and tell; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("methods", nargs="*", default=[*METHODS])
    parser.add_argument("--forms", default=",".join(FORMS))
    asked = parser.parse_args()
    forms = [FORMS[name] for name in asked.forms.split(",")]
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        trained, folders = small_run(place / "lab"), []
        for method in asked.methods:
            taken = taken_of(trained, method)
            for form in forms:
                began, to = time.perf_counter(), place / f"{method}-{form.name}"
                try:
                    told = export(taken, form, to, "benchmark")
                except ValueError as error:
                    print(f"{method:<18} {form.name:<10} -  {error}", flush=True)
                    continue
                seconds = time.perf_counter() - began
                difference = told["check"]["largest_difference"]
                print(
                    f"{method:<18} {form.name:<10} {difference:.1e} here, {seconds:.1f} s",
                    flush=True,
                )
                folders.append(str(to))
        if not folders:
            print("nothing was written, so nothing is asked", file=sys.stderr)
            return 1
        _write_base(trained, place)
        return _asked_afresh(place, folders)


def _write_base(trained: object, place: Path) -> None:
    """Write transformers' form of the untouched CLIP, which adapters are put on."""
    from safetensors.torch import save_file

    from pfedmma_dist.home.peft_form import as_transformers
    from pfedmma_dist.home.taken import Taken

    state = as_transformers(Taken(trained, trained.zero_shot()).module().state_dict())
    save_file({name: x.contiguous() for name, x in state.items()}, place / "base.safetensors")


def _asked_afresh(place: Path, folders: list[str]) -> int:
    """Let an environment without this program answer, and return the exit code."""
    venv.create(place / "fresh", system_site_packages=False, with_pip=False, symlinks=True)
    [packages] = (place / "fresh" / "lib").glob("python*/site-packages")
    for here in [Path(path) for path in sys.path if path.endswith("site-packages")]:
        for own in here.iterdir():
            ours = own.name.startswith(OURS) or own.suffix == ".pth"
            if not ours and not (packages / own.name).exists():
                (packages / own.name).symlink_to(own)
    python = place / "fresh" / "bin" / "python"
    ended = subprocess.run(
        [python, "-I", "-c", ASK, *folders], capture_output=True, text=True, cwd=place
    )
    rows = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("[")]
    for name, difference, allowed in rows:
        verdict = "" if difference <= allowed else "  TOO FAR"
        print(f"{name:<30} {difference:.1e} in a fresh environment{verdict}")
    if ended.returncode or len(rows) < len(folders):
        print(ended.stderr[-2000:], file=sys.stderr)
        return 1
    return int(any(difference > allowed for _, difference, allowed in rows))


if __name__ == "__main__":
    sys.exit(main())
