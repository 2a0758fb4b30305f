"""The parts of the local stack: what `stack.py` puts together."""
