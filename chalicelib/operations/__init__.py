"""What CellFleet does, from trigger to effect: set-up, submission, tick. Handlers and the
command line call these; each reads, decides in `core`, and executes in `aws`."""
