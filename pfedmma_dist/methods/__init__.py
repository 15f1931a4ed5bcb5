"""The methods by name. To add one, write its file and import it here; `register` adds one of your
own, from outside of the package."""

from typing import TypeVar

from pfedmma_dist.config.registry import admit
from pfedmma_dist.methods.clip_adapter import CLIPAdapter
from pfedmma_dist.methods.cocoop import CoCoOp
from pfedmma_dist.methods.dpfpl import DPFPL
from pfedmma_dist.methods.fedclip import FedCLIP
from pfedmma_dist.methods.fedmgp import FedMGP
from pfedmma_dist.methods.fedmvp import FedMVP
from pfedmma_dist.methods.fedotp import FedOTP
from pfedmma_dist.methods.fedpgp import FedPGP
from pfedmma_dist.methods.fedpha import FedPHA
from pfedmma_dist.methods.fedsb import FedSB
from pfedmma_dist.methods.fedtpg import FedTPG
from pfedmma_dist.methods.gda import GDA, ClassMeans
from pfedmma_dist.methods.ivlp import IVLP
from pfedmma_dist.methods.kgcoop import KgCoOp
from pfedmma_dist.methods.linear_probe import LinearProbe
from pfedmma_dist.methods.lora import LoRA
from pfedmma_dist.methods.maple import MaPLe
from pfedmma_dist.methods.method import Method
from pfedmma_dist.methods.own_prior import CountedPrior, OwnPrior
from pfedmma_dist.methods.pfedmma import PFedMMA
from pfedmma_dist.methods.pfedmoap import PFedMoAP
from pfedmma_dist.methods.pfedprompt import PFedPrompt
from pfedmma_dist.methods.plot import PLOT
from pfedmma_dist.methods.proda import ProDA
from pfedmma_dist.methods.prograd import ProGrad
from pfedmma_dist.methods.promptfl import PromptFL
from pfedmma_dist.methods.promptfolio import PromptFolio
from pfedmma_dist.methods.promptsrc import PromptSRC
from pfedmma_dist.methods.tcp import TCP
from pfedmma_dist.methods.tip_adapter import TipAdapter, TipAdapterF
from pfedmma_dist.methods.vpt import VPT
from pfedmma_dist.methods.zero_shot import ZeroShot
from pfedmma_dist.spelling import quoted

ALL: tuple[type[Method], ...] = (
    ZeroShot,
    OwnPrior,
    CountedPrior,
    ClassMeans,
    GDA,
    PromptFL,
    KgCoOp,
    ProGrad,
    PromptFolio,
    ProDA,
    TCP,
    PFedPrompt,
    FedPGP,
    DPFPL,
    FedOTP,
    PLOT,
    FedPHA,
    PFedMoAP,
    CoCoOp,
    FedTPG,
    VPT,
    IVLP,
    MaPLe,
    PromptSRC,
    FedMGP,
    FedMVP,
    FedCLIP,
    CLIPAdapter,
    LinearProbe,
    TipAdapter,
    TipAdapterF,
    LoRA,
    FedSB,
    PFedMMA,
)
METHODS: dict[str, type[Method]] = {method.name: method for method in ALL}

M = TypeVar("M", bound=type[Method])


def register(method: M) -> M:
    """Let `method.name` of a configuration mean a class of your own, and return the class: a
    decorator of it.

    ValueError for what no run could be made of: a name that is taken, no docstring, options that
    no configuration can hold. The same class defined anew, as a notebook does when a cell runs
    again, takes the place of the older one.
    """
    if not (isinstance(method, type) and issubclass(method, Method)):
        raise ValueError(f"register: {quoted(method)} is no subclass of pfedmma_dist.Method")
    admit(method, METHODS, "my_method")
    return method
