"""What every workflow script does around its one library call."""

import contextlib
import logging
import os
import sys
import traceback

from autospec.errors import InputError

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def limit_threads(threads: int) -> None:
    """Hold numerical libraries that are not imported yet to `threads` threads."""
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(threads)


@contextlib.contextmanager
def job(snakemake):
    """Run a script's body: log to the rule's log file, end a user's mistake in one message.

    Parameters
    ----------
    snakemake : object
        The object that Snakemake gives to a script (``log`` and ``threads`` are used).

    Raises
    ------
    SystemExit
        With status 1 after any failure; the log holds the message, and the traceback
        where the failure is ours and not the user's.
    """
    limit_threads(snakemake.threads)
    log_file = snakemake.log[0]
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(message)s",
        datefmt="%Y-%m-%d %H:%M:%S",
        handlers=[logging.FileHandler(log_file, mode="w", encoding="utf-8")],
        force=True,
    )
    logging.captureWarnings(True)
    try:
        yield
    except InputError as error:
        _fail(log_file, f"Error: {error}")
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _fail(log_file, f"Error: {place}{error.strerror or error}", traceback.format_exc())
    except Exception as error:
        _fail(log_file, f"Error: {type(error).__name__}: {error} (details in {log_file})", traceback.format_exc())


def _fail(log_file: str, message: str, details: str = "") -> None:
    logging.error("%s%s", message, "\n" + details if details else "")
    print(message, file=sys.stderr)
    sys.exit(1)
