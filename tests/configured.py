"""A small configuration: three kinds of data, one comparison of groups and one of tasks."""

SMALL = {
    "datasets": {
        "digits": {"source": "digits", "groups": {"even": ["0"], "odd": ["1"]}},
        "waves": {"source": "sinusoid", "groups": {"slow": ["slow-early"], "fast": ["fast-early"]}},
        "brains": {
            "source": "freesurfer",
            "simulate": {"subjects": 40},
            "groups": {"control": ["control"], "patient": ["schizophrenia"]},
        },
    },
    "comparisons": {
        "groups": [{"dataset": "brains", "model": "mlp", "task": "autoencoding"}],
        "tasks": [{"dataset": "brains", "model": "mlp"}],
    },
}
