"""Naming the class of every pixel."""
