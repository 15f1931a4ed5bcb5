"""A run's clients asked about new images: for a page in the browser, and for programs."""
