"""The commands: one module each, called by the command line and from Python."""
