"""Cells that all seeds have: a seed whose training people lack a feature has one singular value less."""


def shared_cells(keys):
    """Where each seed has the cells that every seed has.

    Parameters
    ----------
    keys : list of list of tuple
        One list a seed, at least one; a tuple names a cell.

    Returns
    -------
    shared : list of tuple
        In the order of the first seed.
    places : list of list of int
        One list a seed: the positions of `shared` in its own list.
    """
    everywhere = set(keys[0]).intersection(*keys[1:])
    shared = [key for key in keys[0] if key in everywhere]
    positions = [{key: place for place, key in enumerate(of_seed)} for of_seed in keys]
    return shared, [[of_seed[key] for key in shared] for of_seed in positions]
