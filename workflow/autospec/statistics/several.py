"""Whether a claim holds in several models, judged on real data where they suffice, and apart from simulated data."""

HELD, NOT_HELD, UNTESTABLE, DESCRIPTIVE = "held", "not held", "not testable here", "descriptive"
#: So that no judgement over everything reads as one about people where only simulated data show it.
HELD_ON_SIMULATED = "held on simulated data only"

#: In how many models a claim over all has to hold; the formula below is for two.
_SEVERAL = 2


def p_of_two(of_models):
    """The p against the null hypothesis that at most one of several models shows an effect.

    With m models, (m - 1) times the second smallest of their p, each of which is the smallest p of the model's runs
    times their number (a partial conjunction after Bonferroni: Benjamini and Heller 2008,
    doi:10.1111/j.1541-0420.2007.00984.x). It holds its level whatever the dependence between runs and models, which
    often are trained on the same people, and also where one model does show an effect.

    Parameters
    ----------
    of_models : mapping of str to sequence of float
        The p of each model's runs; two models or more.

    Returns
    -------
    p : float
    by_model : dict of str to float
        The p of each model, corrected for its runs.
    """
    by_model = {model: min(1.0, len(p) * min(p)) for model, p in of_models.items()}
    return min(1.0, (len(by_model) - 1) * sorted(by_model.values())[1]), by_model


def judge_over_models(rows, alpha):
    """Judge one claim over all its runs.

    Parameters
    ----------
    rows : sequence of dict
        The claim's rows, with `status`, `model`, `simulated` and, where held or not, `evidence`: a p corrected for
        all that was tested in the run.
    alpha : float

    Returns
    -------
    dict
        What the claim's row over all says. Real data alone count where two models were tested on them; otherwise
        the simulated, where a claim that holds is `held on simulated data only`.
    """
    judged = [row for row in rows if row["status"] in (HELD, NOT_HELD)]
    by_kind = {False: {}, True: {}}
    for row in judged:
        by_kind[bool(row["simulated"])].setdefault(row["model"], []).append(row["evidence"])
    enough = [simulated for simulated, models in by_kind.items() if len(models) >= _SEVERAL]
    if not enough:
        tested = [f"{_told(row)}, {_data(row['simulated'])}" for row in judged]
        return {
            "status": UNTESTABLE,
            "simulated": all(row["simulated"] for row in judged) if judged else None,
            "note": f"{'; '.join(tested) or 'no model could be tested'}. {_SEVERAL} models on the same kind of data "
            "are wanted to judge a claim about several.",
        }
    simulated = enough[0]
    p, by_model = p_of_two(by_kind[simulated])
    status = (HELD_ON_SIMULATED if simulated else HELD) if p <= alpha else NOT_HELD
    found = sorted(model for model, of_model in by_model.items() if of_model <= alpha)
    other = by_kind[not simulated]
    return {
        "status": status,
        "statistic": "models in which it holds by itself, corrected for their runs",
        "value": len(found),
        "p": p,
        "n": len(by_model),
        "n_of": "models",
        "where": ", ".join(found),
        "simulated": simulated,
        "note": f"{len(found)} of {len(by_model)} models on {_data(simulated)}. p: that at most one of them shows it "
        f"({len(by_model) - 1} times the second smallest p of a model, that of a model being its smallest times its "
        f"runs), wanted at most {alpha:g}." + (_beside(judged, simulated) if other else ""),
    }


def _data(simulated):
    return "simulated data" if simulated else "real data"


def _beside(judged, simulated):
    """The other kind of data, which the judgement leaves out."""
    told = [_told(row) for row in judged if bool(row["simulated"]) != simulated]
    return f" Not counted, on {_data(not simulated)}: {'; '.join(told)}."


def _told(row):
    return f"{row['status']} for {row['model']} on {row['dataset']}"
