"""Inputs that nobody thought of: each must end in a documented status and a sentence.

``python -m tests.fuzz`` (``make fuzz``) tries thousands; ``test_fuzz`` a few of each kind.  An
input is made of its kind and a number alone, so that what was found can be tried again.
"""
