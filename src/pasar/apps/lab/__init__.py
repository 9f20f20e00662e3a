"""The proof tools: attacks, faults, overload and the judges of what became of them.

An operator runs them against a staging deployment (`pasar lab …`); the tests run the same code. Nothing here is part of
what serves customers, and nothing here may be pointed at a deployment that does: it buys, kills and fills.
"""
