"""Choices: the values of keys that take one of a few names."""

from enum import Enum

REASONS = {
    "float16": "small gradients would vanish in it, as nothing here scales the loss; bfloat16 has "
    "the range of float32"
}
"""Why a value that people may expect is none."""


class Dtype(Enum):
    """Storage and arithmetic types of the frozen towers."""

    float32 = "float32"
    tfloat32 = "tfloat32"
    bfloat16 = "bfloat16"

    @property
    def stored(self) -> str:
        """Name of the type of the numbers in memory: tfloat32 is a way to multiply float32."""
        return "float32" if self is Dtype.tfloat32 else self.value


class Tracker(Enum):
    """Who may be told a run's numbers beside TensorBoard."""

    wandb = "wandb"
    mlflow = "mlflow"
    aim = "aim"


class CacheMode(Enum):
    """Where frozen image features are kept."""

    auto = "auto"
    ram = "ram"
    disk = "disk"
    off = "off"


class Layout(Enum):
    """What the folders directly in the image folder are."""

    auto = "auto"
    halves = "halves"
    classes = "classes"
    domains = "domains"


class Statistics(Enum):
    """Mean and deviation that pixels are normalised by."""

    clip = "clip"
    own = "own"


class Division(Enum):
    """How base classes are dealt to clients."""

    published = "published"
    balanced = "balanced"


class Dealing(Enum):
    """How images are dealt to clients."""

    dirichlet = "dirichlet"
    pachinko = "pachinko"
    classes = "classes"
    superclass = "superclass"
    iid = "iid"
    natural = "natural"


class Experiment(Enum):
    """What makes clients differ, and what they are scored on."""

    base_to_novel = "base_to_novel"
    feature_shift = "feature_shift"
    label_shift = "label_shift"


class Optimiser(Enum):
    """Rules of a local step, as torch.optim has them."""

    sgd = "sgd"
    adam = "adam"
    adamw = "adamw"


class Schedule(Enum):
    """How the learning rate runs."""

    constant = "constant"
    cosine = "cosine"
    step = "step"


class Unit(Enum):
    """What a schedule counts."""

    rounds = "rounds"
    epochs = "epochs"
    steps = "steps"


class Select(Enum):
    """Which round a run reports."""

    last = "last"
    best_val = "best_val"


class ServerRule(Enum):
    """What the server does with what it is sent in a round."""

    average = "average"
    momentum = "momentum"
    adagrad = "adagrad"
    adam = "adam"
    yogi = "yogi"
    median = "median"
    trimmed_mean = "trimmed_mean"
    geometric_median = "geometric_median"
    norm_clipping = "norm_clipping"
    krum = "krum"
    multi_krum = "multi_krum"
    bulyan = "bulyan"


class AttackName(Enum):
    """What attackers do to what they train on, or to what they send."""

    none = "none"
    sign_flip = "sign_flip"
    scaling = "scaling"
    noise = "noise"
    alie = "alie"
    ipm = "ipm"
    min_max = "min_max"
    label_flip = "label_flip"
    backdoor = "backdoor"


class Fairness(Enum):
    """Whose word weighs more in the mean of a round than its images say."""

    none = "none"
    qffl = "qffl"
    afl = "afl"


class Softmax(Enum):
    """Which classes take part in the loss of local training."""

    all = "all"
    own = "own"


class Order(Enum):
    """In which order something is used that belongs to images or classes one by one."""

    as_given = "as_given"
    permuted = "permuted"


class SharedPart(Enum):
    """What becomes of the shared part in training."""

    trained = "trained"
    at_start = "at_start"


class CorrectionName(Enum):
    """What is changed in local training."""

    none = "none"
    scaffold = "scaffold"
    feddyn = "feddyn"
    moon = "moon"
    fedrep = "fedrep"
    fedbabu = "fedbabu"
    ditto = "ditto"
    apfl = "apfl"


class Part(Enum):
    """Which numbers of a client move."""

    all = "all"
    private = "private"


class Fleet(Enum):
    """What devices and networks clients are simulated on."""

    none = "none"
    even = "even"
    phones = "phones"
    laptops = "laptops"
    silos = "silos"
    mixed = "mixed"
    file = "file"


class Asynchrony(Enum):
    """How a server goes on that does not wait for all clients of a round."""

    none = "none"
    fedbuff = "fedbuff"
    fedasync = "fedasync"


class Sampling(Enum):
    """How the clients of a round are drawn."""

    fixed = "fixed"
    poisson = "poisson"


class Privacy(Enum):
    """Where noise hides a client."""

    none = "none"
    central = "central"
    local = "local"


class Weights(Enum):
    """What a client counts for in the mean of a private round."""

    equal = "equal"
    capped = "capped"
    samples = "samples"


class Riders(Enum):
    """What becomes of the numbers that a private round tells beside the shared part."""

    omit = "omit"
    release = "release"


class Accountant(Enum):
    """How epsilon is computed."""

    rdp = "rdp"
    pld = "pld"
    integer_rdp = "integer_rdp"
