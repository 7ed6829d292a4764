"""Whether an order of recipes holds under every setting of the protocol."""
