"""Guarded: the server of a configuration, refused where it would have too few clients."""

from pfedmma_dist.config.keys import Config
from pfedmma_dist.exchange.robust import FEWEST, Guard
from pfedmma_dist.exchange.server import Server
from pfedmma_dist.federation.attackers import colludes


def server_of(cfg: Config, num_shared: int, num_clients: int) -> Server:
    """Return the server of S shared numbers.

    num_clients: of the smallest round.
    ValueError where the rule needs more clients.
    """
    rule = cfg.server
    name, guard = rule.name.value, Guard(rule.trim, rule.byzantine, rule.bound)
    times, more = FEWEST.get(name, (0, 0))
    if num_clients < (needed := times * guard.byzantine + more):
        raise ValueError(
            f"server.byzantine: {name} with {guard.byzantine} needs {needed} clients in every "
            f"round ({times} f + {more}), and {num_clients} take part; lower server.byzantine, or "
            "raise federation.fraction or data.num_clients"
        )
    return Server(
        name, rule.lr, rule.beta1, rule.beta2, rule.tau, num_shared, guard, opened=colludes(cfg)
    )
