"""One module per kind of fault; each lists its rows as KINDS."""
