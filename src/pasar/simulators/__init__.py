"""Small servers that speak the protocols of the outside world, for the demo and for tests.

They check what the real side checks, keep their state over restarts, and can be told to misbehave. They share no code
with the adapters: an error in one must not hide in the other.
"""
