"""Layouts of weights, a module for each library: pure functions between its names and plain ones."""
