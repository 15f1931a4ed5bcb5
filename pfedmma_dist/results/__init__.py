"""What finished runs reached, side by side: read, arranged into tables and figures, written out."""
