"""Guarded: the server of a configuration, refused where it would have too few clients."""

from typing import cast

from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.learning import ServerConfig
from pfedmma_dist.config.ruled import options_of
from pfedmma_dist.exchange.robust import FEWEST, Guard
from pfedmma_dist.exchange.rules import Remembering, Rule
from pfedmma_dist.exchange.server import Server
from pfedmma_dist.federation.attackers import colludes


def server_of(cfg: Config, num_shared: int) -> Server:
    """Return the server of S shared numbers."""
    rule = cfg.server
    return Server(
        rule.name.value, rule.lr, rule.beta1, rule.beta2, rule.tau, num_shared,
        Guard(rule.trim, rule.byzantine, rule.bound), opened=colludes(cfg),
        own=_own(rule, num_shared),
    )  # fmt: skip


def _own(server: ServerConfig, num_shared: int) -> Remembering | None:
    """Return the rule of a plugin, with nothing to remember yet; None where none is named."""
    found = options_of(server)
    if found is None:
        return None
    kind, options = found
    return Remembering(cast(type[Rule], kind)(options), num_shared)


def check_enough(rule: ServerConfig, num_clients: int) -> None:
    """Refuse a rule that needs more clients; num_clients: of the smallest round, whose uploads
    arrive."""
    name = rule.name.value
    times, more = FEWEST.get(name, (0, 0))
    needed = times * rule.byzantine + more
    if num_clients < needed:
        raise ValueError(
            f"server.byzantine: {name} with {rule.byzantine} needs {needed} clients in every "
            f"round ({times} f + {more}), and {num_clients} take part; lower server.byzantine, or "
            "raise federation.fraction or data.num_clients"
        )
