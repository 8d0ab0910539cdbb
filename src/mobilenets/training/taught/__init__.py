"""Learning from another network: with labels, or on images without any."""
