"""Spectra of activations, adjoints and gradients, group by group, while a network trains."""
