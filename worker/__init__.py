"""What runs in the container beside CellProfiler: leases jobs, runs them, publishes results.

Python 3.8 grammar, standard library and boto3 only, and nothing of the control plane but
`chalicelib.contract`.
"""
