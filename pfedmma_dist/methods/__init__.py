"""The methods by name. To add one, write its file and import it here; your own, `register` it."""

from dataclasses import is_dataclass

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
METHODS = {method.name: method for method in ALL}


def register(method: type[Method]) -> type[Method]:
    """Let `method.name` find a method of one's own by its `name`; as a decorator, or called.

    ValueError where the name is taken, or the class lacks what ours have.
    """
    name = getattr(method, "name", None)
    if not isinstance(name, str) or not name.isidentifier():
        raise ValueError(f'{method.__name__}.name: {name!r}; give the class a name, such as "mine"')
    if name in METHODS and METHODS[name] is not method:
        other = METHODS[name]
        raise ValueError(
            f"method.name: {name} is taken by {other.__module__}.{other.__qualname__}; give "
            f"{method.__qualname__} another name"
        )
    if not method.__doc__:
        raise ValueError(f"{method.__qualname__}: a first line in its docstring says what it is")
    if not is_dataclass(getattr(method, "Options", None)):
        raise ValueError(
            f"{method.__qualname__}.Options: a kw_only dataclass of its options, maybe without any"
        )
    METHODS[name] = method
    return method
