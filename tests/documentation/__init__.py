"""Pages for people: what is written from the source, where links lead, what commands do."""
