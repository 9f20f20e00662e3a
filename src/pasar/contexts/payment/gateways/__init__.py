"""Adapters of the port `gateway.py`, one file a provider."""
