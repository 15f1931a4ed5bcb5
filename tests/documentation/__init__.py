"""Pages for people: what is written from the source, whether links lead anywhere, what commands do."""
