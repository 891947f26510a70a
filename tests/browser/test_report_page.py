"""The report in a browser: it opens from disk, fetches nothing, and needs no mouse."""

import pytest

PAGES = ("report.html", "explorer.html")


def luminance(colour):
    """Relative luminance of `rgb(r, g, b)`, as the Web Content Accessibility Guidelines define it."""
    values = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_without_a_complaint_and_asks_no_network_for_anything(page, pages, name):
    page.open(pages / name)
    assert page.console == []
    assert page.requests[0] == (pages / name).as_uri()
    assert {request.split(":")[0] for request in page.requests[1:]} <= {"blob", "data"}


def test_the_page_may_not_ask_the_network_even_if_it_wanted(report):
    refused = report.run("""new Promise((done) => {
        document.addEventListener("securitypolicyviolation", (event) => done(event.effectiveDirective));
        fetch("http://127.0.0.1:9/").catch(() => {});
    })""")
    assert refused == "connect-src"


def test_every_figure_is_there_and_is_drawn(report):
    sizes = report.run("[...document.querySelectorAll('.gallery img')].map((image) => image.naturalWidth)")
    assert len(sizes) == 3 and min(sizes) > 100


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [320, 360])
def test_nothing_is_wider_than_a_phone(page, pages, name, width):
    page.open(pages / name, width=width, height=700)
    page.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.run("document.documentElement.scrollWidth") == width
    # Small print is no smaller than 13 pixels.
    sizes = page.run("""[...document.querySelectorAll("p, td, li, label")].map((one) =>
        parseFloat(getComputedStyle(one).fontSize))""")
    assert min(sizes) >= 13


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_in_light_and_dark_and_figures_stay_on_white(page, pages, dark):
    page.open(pages / "report.html", dark=dark)
    ground = luminance(page.run("getComputedStyle(document.body).backgroundColor"))
    assert (ground < 0.1) == dark
    for selector in ("body", ".soft", "a", ".status.held", ".status.not"):
        text = luminance(page.run(f"getComputedStyle(document.querySelector('{selector}')).color"))
        assert (max(text, ground) + 0.05) / (min(text, ground) + 0.05) >= 4.5, selector
    assert page.run("getComputedStyle(document.querySelector('button.zoom')).backgroundColor") == "rgb(255, 255, 255)"


def test_the_first_key_leads_past_the_contents(report):
    report.tab()
    assert report.run("document.activeElement.className") == "skip"
    assert report.run("document.activeElement.getBoundingClientRect().left") >= 0
    report.enter()
    assert report.run("location.hash") == "#summary"


def test_everything_that_can_be_clicked_can_be_reached_by_tab(report):
    wanted = report.run("""(() => {
        document.querySelectorAll("details").forEach((one) => { one.open = true; });
        return [...document.querySelectorAll("a, button, summary")].filter((e) => !e.closest("dialog")).length;
    })()""")
    report.run("window.reached = new Set(); document.addEventListener('focusin', (e) => window.reached.add(e.target));")
    for _ in range(2 * wanted):
        report.tab()
        if report.run("[...window.reached].filter((e) => e.matches('a, button, summary')).length") == wanted:
            break
    else:
        pytest.fail("not reached: " + report.run(
            "[...document.querySelectorAll('a, button, summary')].filter((e) => !e.closest('dialog') && "
            "!window.reached.has(e)).map((e) => e.outerHTML).join()"))  # fmt: skip


def column(page, number):
    return page.run(
        f"[...window.table.tBodies[0].rows].map((row) => row.cells[{number}].textContent.trim().replaceAll(',', ''))"
    )


def test_a_table_is_sorted_with_the_keyboard(report):
    report.run("""(() => {
        window.table = [...document.querySelectorAll("#tests table.sortable")][0];
        window.table.closest("details").open = true;
        window.table.querySelectorAll("th button")[2].focus();
    })()""")
    before = column(report, 2)
    report.enter()
    numbers = [float(text) for text in column(report, 2) if text != "–"]
    assert numbers == sorted(numbers) and sorted(column(report, 2)) == sorted(before) != before
    assert report.run("window.table.querySelectorAll('th')[2].ariaSort") == "ascending"
    report.enter()
    assert [float(text) for text in column(report, 2) if text != "–"] == numbers[::-1]
    assert report.run("window.table.querySelectorAll('th')[2].ariaSort") == "descending"
    assert report.run("document.getElementById('said').textContent") == "Sorted by p, descending."
    report.run("window.table.querySelectorAll('th button')[1].focus()")
    report.enter()
    names = [text.lower() for text in column(report, 1) if text != "–"]
    assert names == sorted(names)
    # One column is sorted at a time; what has no value stands last, whichever way.
    assert report.run("window.table.querySelectorAll('th[aria-sort]').length") == 1
    assert column(report, 1)[len(names) :] == ["–"] * (len(before) - len(names))


def test_what_a_number_leads_sorts_by_the_number_and_notes_stay_below_their_rows(report):
    report.run("""(() => {
        document.body.insertAdjacentHTML("beforeend", `<table class="sortable"><thead><tr><th>a</th></tr></thead><tbody>
            ${["10 (41.7 %)", "-1e-3 to 2", "5 (90 %)", "0.2 to 0.4", "1,200", "–", "2nd visit"].map((text) =>
                `<tr><td>${text}</td></tr><tr class="more"><td>of ${text}</td></tr>`).join("")}</tbody></table>`);
        window.table = document.body.lastElementChild;
        sortBy(window.table.querySelector("th"));
    })()""")
    texts = report.run("[...window.table.tBodies[0].rows].map((row) => row.textContent)")
    assert texts[::2] == ["-1e-3 to 2", "0.2 to 0.4", "5 (90 %)", "10 (41.7 %)", "1,200", "2nd visit", "–"]
    assert texts[1::2] == [f"of {text}" for text in texts[::2]]


def test_claims_are_read_whole_on_a_desktop_and_their_notes_on_a_phone(page, pages):
    page.open(pages / "report.html", width=1280)
    wide = page.run("[...document.querySelectorAll('#claims .scroll')].map((one) => one.scrollWidth - one.clientWidth)")
    assert max(wide) <= 0 and len(wide) == 7
    page.open(pages / "report.html", width=390, height=800)
    notes = page.run("""[...document.querySelectorAll("#claims tr.more div")].map((one) =>
        [one.getBoundingClientRect().left, one.getBoundingClientRect().right, one.getBoundingClientRect().height])""")
    assert len(notes) > 7 and all(0 <= left and right <= 390 and height > 10 for left, right, height in notes)


def test_a_figure_opens_large_with_enter_and_closes_with_escape(report):
    report.run("document.querySelectorAll('button.zoom')[1].focus()")
    report.enter()
    assert report.run("document.getElementById('large').open")
    assert report.run("document.getElementById('large').contains(document.activeElement)")
    report.wait("document.querySelector('#large img').naturalWidth > 100")
    title = "document.querySelector('#large h2').textContent"
    assert report.run(title).startswith("Spectra over training") and "(simulated data)" in report.run(title)
    width = "document.querySelector('#large img').getBoundingClientRect().width"
    narrow = report.run(width)
    report.run("document.querySelector('[data-action=larger]').focus()")
    report.enter()
    assert report.run(width) == pytest.approx(1.5 * narrow, rel=0.02)
    report.run("document.querySelector('[data-action=next]').focus()")
    report.enter()
    assert report.run(title).startswith("Learning")
    report.escape()
    report.wait("!document.getElementById('large').open")
    # The keyboard goes on at the figure that was seen last.
    report.wait("[...document.querySelectorAll('button.zoom')].indexOf(document.activeElement) === 2")


def test_a_claim_leads_to_its_figure(report):
    report.run("document.querySelector('a[href^=\"#figure-groups\"]').focus()")
    report.enter()
    top = report.run("document.querySelector('figure:target').getBoundingClientRect().top")
    assert 0 <= top < 900


def test_the_methods_are_copied_or_at_least_selected(report):
    report.run("document.getElementById('copy').focus()")
    report.enter()
    report.wait("document.getElementById('copy').textContent !== 'Copy the text'")
    if report.run("document.getElementById('copy').textContent") == "Copied":
        report.send("Browser.grantPermissions", permissions=["clipboardReadWrite"])
        text = report.run("navigator.clipboard.readText()")
    else:
        text = report.run("getSelection().toString()")
    assert "Baker et al. 2024" in text and "swapping labels within pairs" in text and "References" in text
