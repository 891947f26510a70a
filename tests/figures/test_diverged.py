"""A run of which every training diverged: each table and figure that would have used it says so."""

import pandas as pd

from autospec.figures.effects import draw_effects
from autospec.figures.epochs import draw_epochs
from autospec.figures.groups import draw_groups
from autospec.figures.models import draw_cost, draw_models
from autospec.report.page import write_report
from autospec.tables import read_json, read_tsv


def words(figure):
    return " ".join(text.get_text() for text in figure.texts).replace("\n", " ")


def test_the_tables_of_its_tests_have_the_same_columns_and_no_rows(diverged, group_tables):
    for name in ("cells", "layers", "epochs", "stability"):
        table = read_tsv(diverged[1] / f"{name}.tsv")
        assert table.empty and list(table) == list(read_tsv(group_tables["autoencoding"] / f"{name}.tsv"))
    overall = read_json(diverged[1] / "overall.json")
    assert set(overall) == set(read_json(group_tables["autoencoding"] / "overall.json"))
    assert overall["seeds"] == 0 and overall["status_counts"] == {"finished": 0, "diverged": 2}
    assert overall["spectra"]["p"] is None and {part["p"] for part in overall["statistics"].values()} == {None}


def test_every_figure_of_its_groups_says_so(diverged, records, group_tables):
    def drawn(paths, folder):
        tables = {name: folder / f"{name}.tsv" for name in ("cells", "layers", "stability")}
        overall = folder / "overall.json"
        return [
            draw_groups(paths, **tables, overall=overall),
            draw_effects(tables["cells"], overall),
            draw_epochs(paths, folder / "epochs.tsv", overall),
        ]

    usual = drawn(records["autoencoding"], group_tables["autoencoding"])
    for (figure, table), (_, other) in zip(drawn(*diverged), usual, strict=True):
        assert "Every training diverged. Lower `learning_rate`" in words(figure) and "Simulated" in words(figure)
        assert table.empty and list(table) == list(other)


def test_beside_other_networks_it_is_told_and_they_are_drawn(diverged, records):
    figure, table = draw_models([*diverged[0], *records["autoencoding"]])
    assert set(table["model"]) == {"mlp"}
    assert "freesurfer, RNN: 2 of 2 trainings diverged, left out." in words(figure)


def test_where_nothing_else_was_trained_the_figures_of_all_networks_say_so(diverged):
    for draw in (draw_models, draw_cost):
        figure, table = draw(diverged[0])
        assert "2 of 2 trainings diverged" in words(figure) and table.empty


def test_claims_and_report_say_so_and_judge_the_rest(inputs_with_diverged, repository, tmp_path):
    claims = read_tsv(inputs_with_diverged["claims"]).set_index(["claim", "model"])
    for claim in ("C4", "C5"):
        row = claims.loc[(claim, "rnn")]
        assert row["status"] == "not testable here" and "all 2 trainings diverged" in row["note"]
        assert pd.notna(claims.loc[(claim, "mlp"), "p"])
    assert claims.loc[("C6", "rnn"), "status"] == "not held"
    assert claims.loc[("C6", "mlp"), "status"] == "held on simulated data only"
    template = repository / "workflow" / "report" / "report.html.j2"
    write_report(tmp_path / "report.html", template, figures=[], **inputs_with_diverged)
    page = (tmp_path / "report.html").read_text()
    assert " 2 trainings diverged and are left out" in page
    assert "Nothing could be tested: all 2 trainings diverged." in page
