"""A small rendered plate, the pipeline made for it, and all that a run of it needs."""
