"""Payment: authorize, capture, void, refund, and the providers that move the money."""
