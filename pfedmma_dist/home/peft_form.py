"""PEFT form: low-rank terms as an adapter for transformers' CLIPModel, by PEFT's own writer."""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from pfedmma_dist.clip import hugging_face
from pfedmma_dist.clip.freeze import is_quick_gelu
from pfedmma_dist.home.forms import CLASSES, Form, write_classes
from pfedmma_dist.home.merging import Term, has_terms, is_merged, terms_of
from pfedmma_dist.home.taken import Taken
from pfedmma_dist.methods.lora import LoRA
from pfedmma_dist.run.files import write_text_atomically

PROJECTIONS = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "out_proj"}
TOWERS = {"image": "vision_model", "text": "text_model"}

OURS = "base"
"""What peft's configuration calls the model that an adapter is for, where it is a run's own."""

NEEDS = (
    "--as peft: {} is not installed; install it with `pip install pfedmma_dist[export]`, or write "
    "another form"
)


class PEFT(Form):
    """An adapter beside the CLIPModel that transformers has of the same weights."""

    name = "peft"
    what = "an adapter of PEFT for transformers' CLIPModel, and a class matrix"

    def why_not(self, taken: Taken) -> str:
        if not has_terms(taken.head):
            return "what it trains are no terms inside attention that an adapter could hold"
        if is_merged(taken.head):
            return (
                "rounds have merged products of all ranks into the frozen matrices, which an "
                "adapter leaves alone; write --as open_clip"
            )
        if taken.head.clip.image is None:
            return "transformers has no CLIPModel of such an image tower"
        return ""

    def write(self, taken: Taken, folder: Path, *, tower: bool) -> dict[str, Any]:
        """Write the adapter and the class vectors."""
        model = _with_terms(_model(taken.module()), taken)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # there is no hub to ask whether embeddings were grown
            model.save_pretrained(str(folder), save_embedding_layers=False)
        path = folder / "adapter_config.json"
        told = json.loads(path.read_text(encoding="utf-8"))
        told["base_model_name_or_path"] = OURS
        write_text_atomically(path, json.dumps(told, indent=2, sort_keys=True) + "\n")
        (folder / "README.md").unlink(missing_ok=True)  # peft's own card: ours takes its place
        write_classes(taken, folder)
        return {"base_model": _config(taken.module()).to_dict()} if taken.tag is None else {}

    def read_back(self, taken: Taken, folder: Path, images: Tensor) -> Tensor:
        """Let PEFT read the folder, onto a CLIPModel of the run's weights."""
        peft = _needed("peft")
        model = peft.PeftModel.from_pretrained(_model(taken.module()), str(folder)).eval()
        with torch.no_grad():
            seen = model.get_image_features(pixel_values=images)
        seen = F.normalize(seen if isinstance(seen, Tensor) else seen.pooler_output, dim=1)
        return taken.head.clip.scale * seen @ load_file(folder / CLASSES)["classes"].mT

    def usage(self, taken: Taken) -> list[str]:
        """Show how PEFT reads the folder."""
        return [
            "import json; from safetensors.torch import load_file",
            "from transformers import CLIPModel; from peft import PeftModel",
            "base = CLIPModel.from_pretrained(BASE)  # transformers' model of the same weights",
            "clip = PeftModel.from_pretrained(base, '.').eval()",
            "told, classes = json.load(open('export.json')), load_file('classes.safetensors')",
            "x = clip.get_image_features(pixel_values=pixels)  # normalised as export.json says",
        ]


def _model(module: Any) -> Any:
    """Return transformers' CLIPModel of the weights of an open_clip module."""
    transformers = _needed("transformers")
    model = transformers.CLIPModel(_config(module)).eval().requires_grad_(False)
    missing, more = model.load_state_dict(as_transformers(module.state_dict()), strict=False)
    assert not more and not [name for name in missing if "position_ids" not in name], missing
    return model


def _config(module: Any) -> Any:
    """Return the sizes of an open_clip module as transformers writes them."""
    transformers = _needed("transformers")
    visual, act = module.visual, module.transformer.resblocks[0].mlp.gelu

    def tower(own: Any, width: int) -> dict[str, Any]:
        first = own.resblocks[0]
        return {
            "hidden_size": width,
            "intermediate_size": len(first.mlp.c_fc.weight),
            "num_hidden_layers": len(own.resblocks),
            "num_attention_heads": first.attn.num_heads,
            "hidden_act": "quick_gelu" if is_quick_gelu(act) else "gelu",
            "projection_dim": visual.proj.shape[1],
        }

    length, text_width = module.positional_embedding.shape
    num_tokens = len(module.token_embedding.weight)
    text = {
        **tower(module.transformer, text_width),
        "vocab_size": num_tokens, "max_position_embeddings": length, "bos_token_id": num_tokens - 2,
        "eos_token_id": num_tokens - 1, "pad_token_id": 0,
    }  # fmt: skip
    image = {
        **tower(visual.transformer, visual.conv1.weight.shape[0]),
        "image_size": visual.image_size[0], "patch_size": visual.conv1.weight.shape[-1],
    }  # fmt: skip
    return transformers.CLIPConfig(
        text_config=text, vision_config=image, projection_dim=visual.proj.shape[1]
    )


def as_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of an open_clip CLIP under transformers' names: `renamed` undone."""
    once = {ours: theirs for theirs, ours in hugging_face.NAMES.items()}
    turned = {ours: theirs for theirs, ours in hugging_face.TRANSPOSED.items()}
    inner = {ours: theirs for theirs, ours in hugging_face.IN_BLOCKS.items()}
    found: dict[str, Tensor] = {}
    for name, x in state.items():
        tower = "vision_model" if name.startswith("visual.") else "text_model"
        stem, mark, rest = name.removeprefix("visual.").partition("transformer.resblocks.")
        if name in once:
            found[once[name]] = x
        elif name in turned:
            found[turned[name]] = x.t().contiguous()
        elif mark and not stem:
            index, _, part = rest.partition(".")
            block = f"{tower}.encoder.layers.{index}"
            if part.startswith("attn.in_proj_"):
                kind = part.removeprefix("attn.in_proj_")
                parts = zip(hugging_face.QKV, x.chunk(3), strict=True)
                found |= {f"{block}.{own}.{kind}": piece.clone() for own, piece in parts}
            else:
                own, _, kind = part.rpartition(".")
                found[f"{block}.{inner[own]}.{kind}"] = x
    return found


def _with_terms(model: Any, taken: Taken) -> Any:
    """Return the model with an adapter that holds the terms of a head, its scale in B."""
    peft, terms = _needed("peft"), list(terms_of(taken.head))
    method = taken.head.method
    decomposed = isinstance(method, LoRA) and method.decomposes
    factors = {_place(term): _factors(term, taken, decomposed) for term in terms}
    rank = max(len(down) for down, _, _ in factors.values())
    config = peft.LoraConfig(
        r=rank, lora_alpha=rank, lora_dropout=0.0, use_dora=decomposed, bias="none",
        target_modules=sorted(factors),
    )  # fmt: skip
    tuned = peft.get_peft_model(model, config).eval()
    state = tuned.state_dict()
    for place, (down, up, lengths) in factors.items():
        begin = f"base_model.model.{place}"
        own = {f"{begin}.lora_A.default.weight": down, f"{begin}.lora_B.default.weight": up}
        if lengths is not None:
            own[f"{begin}.lora_magnitude_vector.default.weight"] = lengths
        for name, x in own.items():
            state[name].copy_(x.view_as(state[name]))
    return tuned


def _place(term: Term) -> str:
    """Return transformers' name of the matrix that a term stands at."""
    own = f"encoder.layers.{term.block}.self_attn.{PROJECTIONS[term.letter]}"
    return f"{TOWERS[term.tower]}.{own}"


def _factors(term: Term, taken: Taken, decomposed: bool) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return A, B with the scale in it, and the lengths of rows where they are trained."""
    if not decomposed:
        return term.down, term.up, None
    method, params = taken.head.method, taken.head.params
    assert isinstance(method, LoRA)
    up = method.scale * params[f"B.{term.place}"][0]
    return params[f"A.{term.place}"][0], up, params[f"m.{term.place}"][0]


def _needed(name: str) -> Any:
    """Import a package of the extra, or say what to install."""
    try:
        return __import__(name)
    except ImportError as error:
        raise ValueError(NEEDS.format(name)) from error
