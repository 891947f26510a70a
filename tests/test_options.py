from autospec import options
from autospec.schema import read_schema


def test_the_page_of_options_is_what_the_schema_says(repository):
    page = (repository / "config" / "README.md").read_text(encoding="utf-8")
    assert page == options.describe(read_schema()), "run: make config/README.md"


def test_every_option_stands_on_the_page_with_a_meaning():
    schema = read_schema()
    page = options.describe(schema)

    def walk(part):
        if isinstance(part, dict):
            for name, option in (part.get("properties") or {}).items():
                if "const" not in option:
                    assert f"`{name}`" in page, name
            for value in part.values():
                walk(value)
        elif isinstance(part, list):
            for value in part:
                walk(value)

    walk(schema)
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert all(line.split("|")[-2].strip() for line in rows)
