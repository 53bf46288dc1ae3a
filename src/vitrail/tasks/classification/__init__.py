"""Telling the classes of whole images apart."""
