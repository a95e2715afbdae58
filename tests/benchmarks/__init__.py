"""What the benchmarks measure holds, on a few of their cells."""
