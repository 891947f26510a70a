"""Both pages, made from made-up results that say so, and a browser to look at them."""

import chromium
import pytest

# The same results that the report's own tests read.
from figures.conftest import comparisons, diverged, group_tables, levels, records, report_inputs, subjects  # noqa: F401

from autospec.figures.groups import draw_groups
from autospec.figures.learning import draw_learning
from autospec.figures.spectra import draw_spectra
from autospec.figures.style import save
from autospec.report.explorer import write_explorer
from autospec.report.page import write_report


def pytest_collection_modifyitems(items):
    """Without a browser nothing here can run."""
    if not chromium.find():
        reason = "no Chromium: `make test-browser` installs it, as root on Debian"
        for item in items:
            if item.path.parent.name == "browser":
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def pages(repository, records, group_tables, report_inputs, tmp_path_factory):  # noqa: F811
    """The folder of `report.html`, with three figures, and of `explorer.html`."""
    folder = tmp_path_factory.mktemp("pages")
    templates = repository / "workflow" / "report"
    run = records["autoencoding"][0].parent.parent.name
    tables = group_tables["autoencoding"]
    drawn = {
        "groups": draw_groups(
            records["autoencoding"], *(tables / f"{name}.tsv" for name in ("cells", "layers", "stability")),
            tables / "overall.json",
        ),
        "spectra": draw_spectra(records["autoencoding"]),
        "learning": draw_learning(records["autoencoding"]),
    }  # fmt: skip
    for kind, (figure, table) in drawn.items():
        save(figure, table, folder / "figures" / kind / run)
    figures = [folder / "figures" / kind / f"{run}.svg" for kind in drawn]
    write_report(folder / "report.html", templates / "report.html.j2", figures=figures, **report_inputs)
    paths = [path for seeds in records.values() for path in seeds]
    overall = [folder / "overall.json" for folder in group_tables.values()]
    write_explorer(folder / "explorer.html", templates / "explorer.html.j2", records=paths, groups=overall)
    return folder


@pytest.fixture(scope="session")
def page():
    """A page of a browser; each test opens a file in it."""
    with chromium.browser() as page:
        yield page


@pytest.fixture
def report(page, pages):
    """The report, open in a window of a desktop."""
    page.open(pages / "report.html")
    return page


@pytest.fixture
def explorer(page, pages):
    """The explorer, open in a window of a desktop."""
    page.open(pages / "explorer.html")
    return page
