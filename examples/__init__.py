"""What the README runs: the sample plate, and the demo that takes it through everything."""
