"""What a state dict is that holds no CLIP of the kind used here, told by the names in it."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from pfedmma_dist.spelling import listed, shortened

ANOTHER = "give the weights of a CLIP"

SHOWN = 30
"""Characters of an unknown name that a message shows."""


class Kind(NamedTuple):
    """What names tell."""

    patterns: tuple[str, ...]
    """Each of them is in some name."""
    what: str
    """Completes "it ..."."""
    remedy: str = ANOTHER
    without: str = "$."
    """What is in none of the names."""


TEXT = r"^(token_embedding|ln_final)\."

KINDS = (
    Kind((r"(^|[._])lora_|\.hada_w|\.lokr_",), "is an adapter (LoRA, PEFT), not a CLIP",
         "merge it into its CLIP (merge_and_unload) and save that state dict"),
    Kind((r"^ids$", r"^rows$"), "is a checkpoint of this program: rows of clients, not a CLIP",
         "to go on with that run start it again; clip.pretrained is what it was started with"),
    Kind((r"(^|\.)(ctx\w*|token_prefix|token_suffix|compound_prompts\w*|prompt_proj|VPT\w*|"
          r"prompt_learner\..*|\w*prompt_embeddings?\w*|meta_net\..*|bonder\..*)(\.|$)",),
         "holds prompt vectors of CoOp's kind, not a CLIP",
         "give the CLIP that they were trained with (mostly clip.pretrained=openai)"),
    Kind((r"^(image_)?adapter\.|^clip_adapter\.",), "holds an adapter, not a CLIP"),
    Kind((r"(^|\.)text_decoder\.|(^|\.)qformer\.|^Qformer\.|^query_tokens$",),
         "is of BLIP's or CoCa's family, which has a decoder of text"),
    Kind((r"^visual\.attn_pool\.|^text\.cls_emb$",), "is a CoCa"),
    Kind((r"(^|\.)logit_bias$|(vision_model|text_model)\.head\.",),
         "is a SigLIP, whose text tower is no CLIP's"),
    Kind((r"^visual\.blocks\.|^visual\.rope|(^|\.)ls_1\.gamma|^visual\.trunk\..*\.q_proj\.",),
         "is an EVA-CLIP, or has layer scale, which no tower here has"),
    Kind((r"^visual\.trunk\.",), "is a CLIP of open_clip with an image tower of timm's",
         "set clip.model to the name that it has in open_clip"),
    Kind((r"^text\.token_embedding\.",), "is a model of open_clip with a text tower of its own",
         "set clip.model to the name that it has in open_clip"),
    Kind((r"^visual\.", r"^bert\.|^text_encoder\.|^text\.transformer\.embeddings\."),
         "is a CLIP whose text tower is BERT's"),
    Kind((r"^(vision|text)_model\.embeddings\.", r"(^|\.)(roberta|bert)\."),
         "is a CLIP whose text tower is BERT's"),
    Kind((r"^image_encoder\.", r"^text_encoder\."), "is a MobileCLIP, or another pair of encoders"),
    Kind((r"^vision_model\.embeddings\.", r"^text_model\.encoder\."),
         "is a CLIP of transformers' names without its token embedding, maybe one shard of several",
         "give all of it: the .index.json lists the shards",
         without=r"^text_model\.embeddings\.token_embedding"),
    Kind((r"^(vision_model\.|embeddings\.patch_embedding\.)",),
         "is an image tower alone, in transformers' names", "give the whole CLIP",
         without=r"^text_model\."),
    Kind((r"^(text_model\.|embeddings\.token_embedding\.)",),
         "is a text tower alone, in transformers' names", "give the whole CLIP",
         without=r"^vision_model\."),
    Kind((r"^visual\.", r"^transformer\.resblocks\.|^ln_final\."),
         "is a CLIP without its token embedding", "fetch it again, whole",
         without=r"^token_embedding\."),
    Kind((r"^(visual\.)?(class_embedding|conv1\.weight|transformer\.resblocks\..*)$", "ln_pre"),
         "is the image tower of a CLIP alone", "give the whole CLIP", without=TEXT),
    Kind((r"^transformer\.resblocks\.", r"^token_embedding\.|^ln_final\."),
         "is the text tower of a CLIP alone", "give the whole CLIP", without=r"^visual\."),
    Kind((r"diffusion_model\.|^down_blocks\.|^conv_in\.",), "is a diffusion model, not a CLIP"),
    Kind((r"(^|\.)(cls_token|mask_token)$", r"patch_embed"),
         "is a Vision Transformer of timm's or DINO's, without text"),
    Kind((r"^(vit\.|embeddings\.patch_embeddings|deit\.|dinov2\.)|encoder_layer_0\.|^conv_proj\.",),
         "is a Vision Transformer of images alone, without text"),
    Kind((r"(^|\.)layer[1-4]\.0\.conv1\.weight$",), "is a ResNet of images alone, without text"),
    Kind((r"^(features|classifier|(\w+\.)?stages|stem)\.\d",),
         "is a network of images alone, without text"),
    Kind((r"self_attn\.q_proj", r"(^|\.)(embed_tokens|input_layernorm|lm_head)\b"),
         "is a language model"),
    Kind((r"^(transformer\.)?(wte|wpe|h\.\d+)\.|^(bert|roberta)\.|word_embeddings|"
          r"\.SelfAttention\.",),
         "is a language model"),
)  # fmt: skip
"""In the order in which they are looked for: what is particular first."""


def explained(names: Iterable[str], wanted: Iterable[str] = ()) -> tuple[str, str] | None:
    """Return (what these names are of, what to do), None where they could be a CLIP's.

    wanted: the names of the model; what is true of them too explains nothing.
    """
    names, wanted = list(names), list(wanted)
    for kind in KINDS:
        if _describes(kind, names) and not _describes(kind, wanted):
            return kind.what, kind.remedy
    return None


def unknown(names: Iterable[str]) -> tuple[str, str]:
    """Return the same for names that nothing is known of."""
    names = list(names)
    count = f"{len(names):,} tensors" if len(names) != 1 else "one tensor"
    shown = listed([shortened(name, SHOWN) for name in names], most=2)
    return f"has none of a CLIP's names, but {count}: {shown}", ANOTHER


def _describes(kind: Kind, names: list[str]) -> bool:
    return all(_among(names, one) for one in kind.patterns) and not _among(names, kind.without)


def _among(names: Iterable[str], pattern: str) -> bool:
    return any(re.search(pattern, name) for name in names)
