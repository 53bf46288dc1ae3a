"""Masked autoencoding: learning to see by filling in hidden patches."""
