"""End-to-end tests of the local stack, from outside: HTTP, the stores' own protocols, signals. None of our code."""
