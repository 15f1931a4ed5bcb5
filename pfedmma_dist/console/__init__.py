"""The console script `pfedmma`: every command by one word, and their completion in a shell."""
