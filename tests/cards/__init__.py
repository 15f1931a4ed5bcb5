"""Method cards: what docs/methods says, written from the source, its specs and measured files."""
