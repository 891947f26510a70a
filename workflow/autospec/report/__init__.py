"""The pages that a run leaves behind: the report, and the explorer beside it."""
