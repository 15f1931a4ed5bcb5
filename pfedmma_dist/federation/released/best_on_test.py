"""Best on test: which round a run reports, that of the best test scores among the choices
(released.best_on_test)."""

from pfedmma_dist.config.keys import Config


def rule_of(cfg: Config) -> str:
    """Return the rule by which a round is chosen: last, best_val or best_test."""
    return "best_test" if cfg.released.best_on_test else cfg.evaluate.select.value
