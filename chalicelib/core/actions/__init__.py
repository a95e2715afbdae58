"""All that can be done to AWS and to a run, as data: one frozen dataclass each, a module a subject.

How each is done stands in the module of the same name in `chalicelib.aws.actions`.
"""
