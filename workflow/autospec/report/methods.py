"""The methods as a text to paste into a manuscript, made from the configuration and the records of the run."""

from collections.abc import Mapping

from autospec.report.people import criteria
from autospec.report.references import cited
from autospec.report.words import MODELS, listed

CORRECTIONS = {
    "bh": "the false discovery rate (Benjamini and Hochberg 1995)",
    "by": "the false discovery rate under any dependence (Benjamini and Yekutieli 2001)",
    "holm": "the family-wise error rate (Holm 1979)",
}
#: What each network is, from its input to the class or the reconstruction; f is the activation function.
STRUCTURES = {
    "mlp": "fully connected layers with f after each; the auto-encoder's decoder mirrors them, without f at the end",
    "cnn": "convolutions with f after each, which halve the resolution where they change the number of channels; the "
    "class is read off the mean over positions, the decoder repeats positions and convolves, mirroring the encoder, "
    "without f at the end",
    "rnn": "recurrent layers h_t = f(W x_t + U h_{t-1} + b); the class is read off the mean over time, the decoder is "
    "a linear read-out at each time point",
    "lstm": "LSTM layers, whose f is their own; the class is read off the mean over time, the decoder is a linear "
    "read-out at each time point",
    "bert": "a transformer encoder over time points, with f between the two linear layers of each block; the class is "
    "read off a token of its own, the decoder is a linear read-out at each time point",
}
ACTIVATIONS = {"relu": "ReLU", "sigmoid": "sigmoid", "tanh": "tanh"}
SHAPES = (
    "The deep shape of a network has every layer of its encoder twice, the wide one the layers of the base shape at "
    "the width at which the whole network has as many parameters as the deep one."
)
COMPARED = {"C1": "tasks", "C2": "activation functions", "C3": "shapes"}
OPTIMISERS = {"adam": "Adam (Kingma and Ba 2015)", "sgd": "stochastic gradient descent with a momentum of 0.9"}
TASKS = {
    "autoencoding": "reconstruct their input (auto-encoding, mean squared error)",
    "classification": "classify (cross-entropy)",
    "masked": "reconstruct time points that were hidden from them (mean squared error)",
}


def methods(
    trainings: list[dict],
    datasets: Mapping[str, dict],
    groups: list[dict],
    claims: list[dict],
    conditions: list[dict],
    versions: Mapping[str, str],
) -> dict:
    """Write the methods text.

    Parameters
    ----------
    trainings : list of dict
        What `read_trainings` gives.
    datasets : mapping of str to dict
        What `read_datasets` gives.
    groups, claims, conditions : list of dict
        What `read_groups`, `read_claims` and `read_conditions` give.
    versions : mapping of str to str
        Versions by package.

    Returns
    -------
    dict
        `paragraphs` (list of heading and text) and `references` (list of str, those that are cited).
    """
    compared = [
        COMPARED[claim["claim"]]
        for claim in claims
        if claim["claim"] in COMPARED and any(row["dataset"] != "all" for row in claim["rows"])
    ]
    paragraphs = [
        *((f"Data: {name}", _data(data)) for name, data in datasets.items()),
        ("Networks and training", _training(trainings)),
        ("Spectra", _spectra()),
    ]
    if groups:
        paragraphs.append(("Tests of groups", _groups(groups, trainings)))
    if compared:
        paragraphs.append(("Comparisons of conditions", _conditions(compared, conditions)))
    paragraphs.append(("Software", _software(versions)))
    return {"paragraphs": paragraphs, "references": cited(" ".join(text for _, text in paragraphs))}


def _data(data: Mapping) -> str:
    options = data["options"]
    steps = [data["description"]]
    if data["simulated"]:
        steps.append("These data are simulated: results on them check the program and say nothing about people.")
    steps += _source(options)
    reference, other = data["groups"]
    for row in data["people"]:
        if row["stage"] == "before":
            steps.append(f"The group {reference} had {row['n_reference']} members, the group {other} {row['n_other']}.")
    if data["pairs"] is not None:
        shared = criteria(options.get("matching", {}))
        how = f"one to one by optimal assignment ({shared})" if shared else "one to one, at random"
        steps.append(
            f"The groups were paired {how}, which gave {data['pairs']} pairs; whoever found no partner was left out."
        )
    left_out = [f"{row['count']} {_kind(row)} ({row['reason']})" for row in data["dropped"]]
    if left_out:
        steps.append(f"Quality control left out {listed(left_out)}.")
    return " ".join(steps)


def _kind(row: Mapping) -> str:
    word = "person" if row["kind"] == "subject" else "feature"
    return word if row["count"] == 1 else {"person": "people", "feature": "features"}[word]


def _source(options: Mapping) -> list[str]:
    """What was done to the data of each kind of source, before any network saw them."""
    source, steps = options.get("source", ""), []
    if source == "mnist":
        steps.append("Images are those of MNIST (LeCun et al. 1998).")
    if source.startswith("freesurfer"):
        steps.append("Morphometric measures are FreeSurfer's (Fischl 2012).")
    if source == "fmri":
        if options.get("ica"):
            training = options["ica"].get("people") == "training"
            whom = "the people whom networks were trained on" if training else "people who were then left out"
            steps.append(f"Component maps were estimated by a group ICA on {whom}.")
        regions = "the regions of an atlas" if options.get("atlas") else "component maps by dual regression"
        steps.append(f"Time courses of {regions} were taken from preprocessed scans (nilearn, Abraham et al. 2014).")
        if options.get("confounds"):
            removed = options.get("load_confounds") or listed(options.get("confound_columns", []))
            named = removed if isinstance(removed, str) else "nilearn's strategies"
            steps.append(f"Confounds were regressed out ({named}).")
        if options.get("censor"):
            steps.append("Volumes that the confounds' files mark as bad were censored.")
    if "high_pass" in options:
        steps += _time_courses(options)
    if options.get("harmonise") == "combat":
        steps.append("Sites were harmonised by ComBat (Johnson et al. 2007), fitted on training people alone.")
    if options.get("residualise"):
        names = listed(name.replace("_", " ") for name in options["residualise"])
        steps.append(f"Linear effects of {names}, fitted on training people alone, were taken out.")
    if options.get("head_size", "none") != "none":
        steps.append("Volumes were taken in relation to head size.")
    if options.get("outliers", "keep") != "keep":
        steps.append("People whose features lie far from everybody's were left out as outliers.")
    return steps


def _time_courses(options: Mapping) -> list[str]:
    low, high = options.get("high_pass"), options.get("low_pass")
    band = [f"above {low:g} Hz"] if low else []
    band += [f"below {high:g} Hz"] if high else []
    steps = ["detrended"] if options.get("detrend") else []
    steps += [f"filtered to frequencies {listed(band)}"] if band else []
    steps += ["standardised in each person"] if options.get("standardise") else []
    said = [f"Time courses were {listed(steps)}."] if steps else []
    if options.get("crop"):
        said.append("They were cut to a common length.")
    if options.get("windows"):
        said.append("They were cut into windows; those of a person stay together in pairs, splits and swaps.")
    return said


def _training(trainings: list[dict]) -> str:
    models = {}
    for training in trainings:
        if training["shape"] == "base":
            models.setdefault(training["model"], training["options"].get("model_options", {}))
    shared = trainings[0]["options"].get("training", {}) if trainings else {}
    tasks = [words for task, words in TASKS.items() if any(training["task"] == task for training in trainings)]
    seeds = max((training["seeds"] for training in trainings), default=0)
    total, diverged = sum(t["seeds"] for t in trainings), sum(t["diverged"] for t in trainings)
    functions = {
        name: listed(words for f, words in ACTIVATIONS.items() if any(
            training["model"] == name and training["activation"] == f for training in trainings
        ))
        for name in models
    }  # fmt: skip
    said = [
        f"{MODELS[name]}: {STRUCTURES[name]} ({_options(models[name])}; f: {functions[name]})."
        for name in MODELS
        if name in models
    ]
    if any(training["shape"] != "base" for training in trainings):
        said.append(SHAPES)
    said.append(_parameters(trainings))
    said.append(f"They were trained to {listed(tasks)}." if tasks else "")
    if shared:
        optimiser = OPTIMISERS[shared["optimiser"]]
        if shared["weight_decay"]:
            decoupled = ", decoupled (Loshchilov and Hutter 2019)" if shared["optimiser"] == "adam" else ""
            optimiser += f" and a weight decay of {shared['weight_decay']:g}{decoupled}"
        schedule = " with a rate that falls along half a cosine" if shared["schedule"] == "cosine" else ""
        said.append(f"Training took {shared['epochs']} epochs of {optimiser}{schedule}, without early stopping.")
        batches = "Batches held whole pairs. " if shared["balanced"] else ""
        said.append(
            f"{batches}In each of {seeds} seeds, whole pairs were assigned to training and test people "
            f"({1 - shared['test_share']:.0%} and {shared['test_share']:.0%}), and features were scaled by the "
            "training people of both groups together, blind to the group."
        )
    said.append(
        f"{total} trainings were made" + (f", of which {diverged} diverged and are left out." if diverged else ".")
    )
    return " ".join(filter(None, said))


def _parameters(trainings: list[dict]) -> str:
    """How many parameters each network has, e.g. `digits, MLP, autoencoding 1,234 (base) and 2,345 (wide)`."""
    sizes: dict[str, dict] = {}
    for training in trainings:
        name = f"{training['dataset']}, {MODELS[training['model']]}, {training['task']}"
        sizes.setdefault(name, {}).setdefault(training["shape"], training["parameters"])
    told = [
        f"{name} {listed(f'{size:,}' + (f' ({shape})' if len(shapes) > 1 else '') for shape, size in shapes.items())}"
        for name, shapes in sizes.items()
    ]
    return f"Parameters: {'; '.join(told)}." if told else ""


def _options(options: Mapping) -> str:
    """Hyper-parameters in words, e.g. `widths 64, 32, 16; learning rate 0.003; batch 32`."""
    told = []
    for name, value in sorted(options.items()):
        if value is False:
            continue
        shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else "" if value is True else f"{value:g}"
        told.append(f"{name.replace('_', ' ')} {shown}".strip())
    return "; ".join(told)


def _spectra() -> str:
    return (
        "While networks trained, the singular values of every layer's activations A, adjoints D (the gradient of the "
        "loss with respect to the layer's output before its activation function) and gradients D'A were taken for each "
        "group of people at every step and averaged over each epoch (Baker et al. 2024). The groups' gradients add up "
        "to the gradient of the batch. Observing does not change training."
    )


def _groups(groups: list[dict], trainings: list[dict]) -> str:
    first = groups[0]
    statistics = next((t["options"].get("statistics", {}) for t in trainings if t["name"] == first["name"]), {})
    every = statistics.get("labelings_every", 1)
    observed = f" at every {every}{'nd' if every == 2 else 'rd' if every == 3 else 'th'} step" if every > 1 else ""
    indices = f" over the {statistics['indices']} leading singular values" if statistics.get("indices") else ""
    drawn = f" (drawn from seed {statistics['labelings_seed']})" if "labelings_seed" in statistics else ""
    used = [one for one in groups if not one["exact"]]
    said = [
        "Whether the groups drive learning differently was tested by swapping labels within pairs (Winkler et al. "
        f"2015): {first['labelings']} labelings{drawn}, the true one among them, the same in every layer and training, "
        f"were evaluated on the same trainings{observed}. If, within a pair, the two people are exchangeable given the "
        "matching variables, the rank of the truth among them is an exact p value where training does not use the "
        "labels. Two statistics of each layer's gradient spectra were tested"
        f"{indices}: the log ratio of the groups' singular values, and the singular values (and the Frobenius norm) "
        "of the difference of the groups' gradients. In each layer the largest standardised statistic over indices, "
        "and across layers and statistics the smallest p, were compared with their distributions over the same "
        f"labelings (Westfall and Young 1993). Beside these, {CORRECTIONS[first['correction']]} was controlled at "
        f"{first['alpha']:g} over the cells (statistic, layer and index) of each run and, for the p of layers, over "
        "its layers and the two statistics. p has the 95 % Monte-Carlo interval of its rank. The groups' "
        "mean loss, and simple tests of the inputs, were ranked under the same swaps as yardsticks.",
        "The difference across trainings of the same people (paired t, also with the correction of Nadeau and Bengio "
        "2003) is reported as stability over trainings and is no test of groups.",
    ]
    if used:
        said.append("Networks that classified used the labels in training; their ranks are descriptive.")
    return " ".join(said)


def _conditions(compared: list[str], conditions: list[dict]) -> str:
    first = next(iter(conditions), None)
    corrected = f"; {CORRECTIONS[first['correction']]} was controlled at {first['alpha']:g}" if first else ""
    return (
        f"{listed(compared).capitalize()} were compared on scale-free summaries of the gradient spectra (each "
        "singular value's share of their sum, the normalised effective rank (Roy and Vetterli 2007) and the stable "
        "rank), paired by seed, with trainings as the unit: a repeated-measures analysis of variance with the "
        "correction of Greenhouse and Geisser 1959 where there were three conditions, then paired t tests with Hedges' "
        f"g_z (Hedges 1981) and its 95 % interval (statsmodels, Seabold and Perktold 2010){corrected} over all pairs "
        "of conditions in the cells (layer, measure and index) of a comparison, and over its analyses of variance."
    )


def _software(versions: Mapping[str, str]) -> str:
    own, workflow = (f" {versions[name]}" if name in versions else "" for name in ("autospec", "snakemake"))
    cites = {"torch": "Paszke et al. 2019", "scikit-learn": "Pedregosa et al. 2011"}
    others = [
        f"{package} {version}" + (f" ({cites[package]})" if package in cites else "")
        for package, version in versions.items()
        if package not in ("autospec", "snakemake")
    ]
    return (
        f"The analysis was run with AutoSpec{own} as a workflow of Snakemake{workflow} (Mölder et al. 2021), with "
        f"{listed(others)}."
    )
