"""What a run leaves behind: its folder, checkpoints, records, pictures and what a person sees."""
