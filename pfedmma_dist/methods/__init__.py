"""The methods by name. To add one, write its file and import it here."""

from pfedmma_dist.methods.method import Method
from pfedmma_dist.methods.pfedmma import PFedMMA
from pfedmma_dist.methods.promptfl import PromptFL
from pfedmma_dist.methods.zero_shot import ZeroShot

METHODS: dict[str, type[Method]] = {method.name: method for method in (ZeroShot, PromptFL, PFedMMA)}
