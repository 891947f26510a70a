"""The one exception that a user is meant to read."""


class InputError(Exception):
    """A mistake in what the user gave: a file, a table cell, a configuration value.

    The message names the file, the place in it (line, column or subject), what was found,
    what was wanted and what to do. Scripts print it alone, without a traceback.
    """
