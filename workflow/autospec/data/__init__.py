"""Readers of data, one file a source; all give the same Dataset."""
