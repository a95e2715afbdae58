"""A deterministic AWS: one seed, one history. The real control plane runs on it, unchanged.

timeline   virtual time and what happens when
edge       the clients that the control plane gets: every call counted, faults put in
s3, sqs, ec2, ecs, watch   the services, with AWS's arguments, answers and errors
worker     what runs on machines, as `chalicelib.contract` has it
world      all of these, and the look-alikes that nobody may touch
history    a scenario from its first upload to its quiet end
invariants L, D, M, I, B and R, checked when it is over
sweep      every call index times every fault, and thousands of seeds
"""
