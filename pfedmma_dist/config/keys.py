"""The configuration tree: every key, its default, its meaning and where the number comes from.

Defaults live here and nowhere else; YAML files hold departures from them. Numbers that come from a
paper or from published code name their source. A method's own options live with the method
(`pfedmma_dist/methods/*.py`), because this file knows no method.

Its limit, and what it means for the identity of a run (`meaning.py`), stand beside it. A key
without a word on that decides the result.
"""

from dataclasses import dataclass, field
from typing import Any

from pfedmma_dist.config.attacking import AttackConfig
from pfedmma_dist.config.choices import (
    CacheMode,
    Dealing,
    Division,
    Dtype,
    Experiment,
    Layout,
    Statistics,
)
from pfedmma_dist.config.evaluating import EvaluateConfig
from pfedmma_dist.config.exchanging import ExchangeConfig
from pfedmma_dist.config.federating import FederationConfig
from pfedmma_dist.config.learning import ControlConfig, CorrectionConfig, OptimConfig, ServerConfig
from pfedmma_dist.config.limits import (
    AT_LEAST_1,
    NOT_NEGATIVE,
    PATH,
    POSITIVE,
    SHARE,
    TEMPLATE,
    Limit,
)
from pfedmma_dist.config.meaning import MEANING, Meaning, Role, key
from pfedmma_dist.config.private import PrivacyConfig
from pfedmma_dist.config.released import ReleasedConfig
from pfedmma_dist.config.running import RunConfig
from pfedmma_dist.config.simulated import SystemConfig

GLYPHS = {"data.name": ("glyphs",)}
NOVEL = {"data.task": ("base_to_novel",)}
SHIFTS = {"data.task": ("label_shift", "feature_shift")}


@dataclass(kw_only=True)
class DataConfig:
    """The images, and who owns which of them."""

    name: str = "caltech101"
    """Data set; `--list` prints the known names. Where neither this nor a file is given, `train`
    begins with the presets of the embedded world, `glyphs`."""
    names: list[str] | None = key(None, since=1, heading="Sets")
    """Data sets of one federation, such as [caltech101,dtd], in place of data.name. Each has as
    many clients as any other, who tell the classes of their own set apart alone, in training and in
    scores. `NAME:PATH` reads a set at PATH (from data.root), as in [folder:flowers,folder:pets].
    data.name is then what reports call them all."""
    root: str = key("data", by_content=True, limit=PATH, never=GLYPHS)
    """Folder that holds the data sets (for `folder`: the image folder itself)."""
    classes: list[str] | None = key(None, never=GLYPHS, refused=True)
    """Classes to use in place of all, such as [cat,sea horse]; each counts as it is written, as a
    folder or in a prompt: [yes,no,001] are three texts."""
    class_names: str | None = key(
        None, by_content=True, is_file=True, limit=PATH, never=GLYPHS, refused=True
    )
    """A .csv file of lines `folder,name`, or a .json object, of classes that a prompt shall call
    otherwise than their folder. No two may be the same words to CLIP."""
    # The name hides the built-in one: annotations further down cannot be list[...].
    list: str | None = key(
        None, by_content=True, is_file=True, limit=PATH, refused=True,
        only={"data.name": ("folder",)},
    )  # fmt: skip
    """A .csv, .tsv or .jsonl file with an image per line, in the columns path (from root) and
    class, and where there are such, domain, client and split (train, val or test). Commas,
    semicolons, tabs and bars separate. What is found only in another spelling is counted aloud:
    with / for \\, without root before it, in other Unicode form or letter case."""
    layout: Layout = key(Layout.auto, since=1, only={"data.name": ("folder",)}, refused=True)
    """What the folders directly in root are: `halves` (train and test, in any
    spelling, with class folders inside), `classes`, `domains` (with class folders inside), or
    `auto`, which looks and refuses what it cannot tell."""
    nested: bool = key(False, since=1)
    """Read images in folders inside a class folder too, as images of that class; not for sets that
    list their images."""
    task: Experiment = Experiment.base_to_novel
    """Experiment (pFedMMA, section 5.1): `base_to_novel` deals disjoint classes to clients,
    `label_shift` divides every class among them, `feature_shift` every class of one domain."""
    num_clients: int | None = key(10, limit=AT_LEAST_1, heading="Clients")
    """Clients of the federation; 10 in base-to-novel, 30 over 6 domains in feature shift, 100 in
    label shift (pFedMMA, section 5.1). null means as many as the images come with, or base_classes
    asks for, and is what partition=natural and base_classes begin with."""
    partition: Dealing = key(Dealing.dirichlet, only=SHIFTS, refused=True)
    """How label_shift deals all images and feature_shift those of each domain: `dirichlet` divides
    every class by Dir(beta); `pachinko` has clients prefer superclasses by Dir(beta); `classes`
    gives each client classes_per_client classes; `superclass` gives it one superclass; `iid` deals
    at random; `natural` (label_shift only) leaves images with the clients they come with. Published
    as noniid-labeldir, noniid-labeldir100, noniid-labeluni, iid-label100 and homo."""
    beta: float = key(
        0.5,
        limit=Limit(lambda x: 1e-6 <= x <= 1e6, "1e-6 to 1e6"),
        only={**SHIFTS, "data.partition": ("dirichlet", "pachinko")},
    )
    """Dirichlet concentration, smaller is more skewed; 0.5 (pFedMMA, section 5.1)."""
    classes_per_client: int = key(
        2, limit=AT_LEAST_1, only={**SHIFTS, "data.partition": ("classes",)}
    )
    """Classes of each client; 2 on CIFAR-10, 10 on CIFAR-100 (pFedMMA's
    code)."""
    held_out: str | None = key(None, only={"data.task": ("feature_shift",)}, refused=True)
    """A domain that no client has, and on whose test images every client is
    scored besides (leave one domain out)."""
    compat: bool = False
    """Divide as the published code does, number for number: label_shift by dirichlet, pachinko,
    classes or iid, feature_shift by dirichlet, and base_to_novel with its shots on the
    seven sets of the paper (other sets draw them as six of these do). Seeds are the run's in
    label_shift (pachinko: 12345, the run's only numbers the clients), 0 in every domain of
    feature_shift; in base_to_novel 2023 deals the classes, and the run's draws the shots (Oxford
    Pets: 2023). Images must be listed in the published code's order, all of them: those of CoOp's
    split files are."""
    shots: int = key(16, limit=AT_LEAST_1, only=NOVEL)
    """Training images per class and client, all of them where a class has
    fewer; 16 (pFedMMA). The other experiments train on every training image."""
    division: Division = key(Division.published, only=NOVEL)
    """How base classes are dealt, `published` (seed 2023, remainder to the
    last client) or `balanced` (sizes differ by one at most)."""
    base_classes: int | None = key(None, limit=AT_LEAST_1, since=1, only=NOVEL, refused=True)
    """Base classes of a client at most; num_clients is null then, and each data set has as many
    clients as that takes (FedTPG: 20)."""
    validation: float = key(0.0, limit=SHARE, since=1, heading="Validation")
    """Share of each client's training images that is held apart to choose a round by; 0 is none.
    Every class keeps one. Sets with validation images of their own (CoOp's `val` lists, a list's
    split column, a val folder beside train and test) bring those in their place whatever the share
    is, and the embedded world draws as many more images of a class; base_to_novel takes at most
    min(shots, 4) per class of what a set brings (CoOp), and never any of a novel class."""
    template: str = key("a photo of a {}.", limit=TEMPLATE)
    """Prompt of the fixed-text methods; `{}` stands for the class name (pFedMMA, MMA). `coop` is
    the data set's own zero-shot prompt, where CoOp has one."""
    statistics: Statistics = Statistics.clip
    """Mean and deviation that normalise pixels: `clip`, or `own` for the data set's, as the
    published code does with CIFAR."""
    views: int = key(1, limit=Limit(lambda x: 0 <= x < 2**20, "0 or more and below 2^20"))
    """Fixed training augmentations per image: 1 is the centre crop, V > 1 are V random resized
    crops with flips drawn once, 0 draws a fresh one at every step and caches no training image."""
    skip_corrupt: bool = False
    """Leave out unreadable images and say how many, instead of refusing the data set."""
    difficulty: float = key(0.4, limit=Limit(lambda x: 0 <= x <= 1, "0 to 1"), only=GLYPHS)
    """Strength of rotation, scale, noise and clutter, 0 (easy) to 1 (hard); our
    choice."""
    style_gap: float = key(1.0, limit=NOT_NEGATIVE, only=GLYPHS)
    """Strength of the clients' style, which pretraining never saw; 0 is the style of
    pretraining; our choice."""
    train_per_class: int = key(64, limit=AT_LEAST_1, only=GLYPHS)
    """Training images drawn per class; our choice."""
    test_per_class: int = key(32, limit=AT_LEAST_1, only=GLYPHS)
    """Test images drawn per class; our choice."""


@dataclass(kw_only=True)
class ClipConfig:
    """The frozen CLIP."""

    model: str = key("ViT-B-16", limit=PATH, by_content=True, is_file=True)
    """open_clip model name, `mini-clip` (the embedded world's), the path of a .json file in the
    format of open_clip's model configs, or open_clip's `local-dir:FOLDER` or `hf-hub:OWNER/NAME`,
    which bring weights too (used while clip.pretrained has its default)."""
    pretrained: str | None = key("openai", by_content=True, limit=PATH, is_file=True)
    """open_clip tag, `glyphs` for mini-clip, or the path of a local file, whatever its suffix:
    safetensors, OpenAI's TorchScript, a state dict or a training checkpoint that holds one, in
    open_clip's, OpenAI's or transformers' names; null means random weights, drawn from the seed."""
    dtype: Dtype = Dtype.float32
    """Arithmetic of the frozen towers; adapters, optimiser and sums are float32 whatever it is.
    bfloat16 is best on GPUs; `tfloat32` (GPUs only) multiplies float32 numbers by their first 10
    bits, and float32 never does."""
    cache: CacheMode = key(
        CacheMode.auto, role=Role.BITS, counts_as={"ram": "auto", "disk": "auto"}
    )
    """Frozen image features: `ram`, `disk`, `auto` (ram within cache_memory, else disk), or `off`,
    which runs the plain form of the model without any shortcut."""
    cache_memory: float = key(8.0, role=Role.RESOURCE, limit=POSITIVE)
    """Largest feature cache kept in memory, GiB per host. On a GPU features stay where they fit 0.7
    of its free memory, whatever this is; else they are read from the host's, step by step."""
    cache_dtype: Dtype | None = key(
        None, limit=Limit(lambda x: x is not Dtype.tfloat32, "float32 or bfloat16")
    )
    """Storage of cached features; null means clip.dtype. bfloat16 halves the cache and rounds
    once."""
    cache_folder: str = key("~/.cache/pfedmma_dist", role=Role.RESOURCE, limit=PATH)
    """Folder of feature files and of generated splits; a disk local to the host is best."""


@dataclass(kw_only=True)
class Config:
    """Everything that decides a run."""

    seed: int = key(1, limit=Limit(lambda x: 0 <= x < 2**63, "0 or more and below 2^63"))
    """Seed of every random choice: init, shots, participation, shuffles, augmentation."""
    plugins: list[str] = field(
        default_factory=list, metadata={MEANING: Meaning(role=Role.RESOURCE, since=1)}
    )
    """Modules of your own, such as [my_lab.methods] or [my_lab/methods.py], imported before method
    and data set are looked up, to register what they are named by (docs/plugins.md). They run as
    part of the program. Their code is not in a run's name; a run goes on with other code than it
    began with only with a warning, and its result says which code made it."""
    data: DataConfig = field(default_factory=DataConfig)
    clip: ClipConfig = field(default_factory=ClipConfig)
    method: dict[str, Any] = field(default_factory=lambda: {"name": "pfedmma"})
    """Method name and its own options; `--help` lists the options of every method."""
    federation: FederationConfig = field(default_factory=FederationConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    exchange: ExchangeConfig = field(default_factory=ExchangeConfig)
    server: ServerConfig = field(default_factory=ServerConfig)
    correction: CorrectionConfig = field(default_factory=CorrectionConfig)
    attack: AttackConfig = field(default_factory=AttackConfig)
    control: ControlConfig = field(default_factory=ControlConfig)
    system: SystemConfig = field(default_factory=SystemConfig)
    privacy: PrivacyConfig = field(default_factory=PrivacyConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    released: ReleasedConfig = field(default_factory=ReleasedConfig)
    run: RunConfig = field(default_factory=RunConfig)
