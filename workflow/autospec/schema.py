"""The schema of the configuration: values are filled with defaults and checked, mistakes told with their place."""

import copy
import difflib
import math
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from autospec.errors import InputError

SCHEMA_FILE = Path(__file__).parents[1] / "schemas" / "config.schema.yaml"
#: Patterns of the schema, in words.
PATTERNS = {
    "^[A-Za-z0-9_]+$": "wanted letters, digits and underscores alone",
    "\\{subject\\}": "wanted {subject} in it",
    "^training$": "wanted a number of people or 'training'",
}


def read_schema(path: str | Path = SCHEMA_FILE) -> dict:
    """Read the schema of the configuration."""
    # libyaml, which most builds of pyyaml have, reads it in a tenth of the time, before every command.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(Path(path).read_text(encoding="utf-8"), Loader=loader)


def resolve(part: dict, schema: dict) -> dict:
    """Follow a `$ref`; keys beside it (a default, say) win over what it points to."""
    if "$ref" not in part:
        return part
    target = schema
    for key in part["$ref"].removeprefix("#/").split("/"):
        target = target[key]
    return {**resolve(target, schema), **{key: value for key, value in part.items() if key != "$ref"}}


def fill(value, part: dict, schema: dict, place: str):
    """Check a value against one part of the schema and return it with its defaults filled.

    Parameters
    ----------
    value : object
        As read from YAML; a dict of it is left as it is.
    part, schema : dict
        The part, and the whole schema that its `$ref` point into.
    place : str
        Where the value stands, for messages: `datasets.mine.path`.

    Raises
    ------
    InputError
        For the first mistake.
    """
    part = resolve(part, schema)
    if "oneOf" in part:
        part = _source(value, part["oneOf"], schema, place)
    if part.get("type") == "object" and isinstance(value, dict):
        value = _fill_object(value, part, schema, place)
    elif isinstance(value, list) and "items" in part:
        value = [fill(item, part["items"], schema, f"{place}[{index}]") for index, item in enumerate(value)]
    elif isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{place}: found {value}, wanted a finite number. {part.get('description', '')}".strip())
    elif part.get("type") == "integer" and isinstance(value, float) and value.is_integer():
        value = int(value)
    error = best_match(Draft202012Validator(_shallow(part)).iter_errors(value))
    if error is not None:
        raise InputError(f"{place}: {_readable(error, part)}")
    return value


def _fill_object(value: dict, part: dict, schema: dict, place: str) -> dict:
    known = part.get("properties", {})
    others = part.get("additionalProperties", {})
    prefix = "" if place == "configuration" else f"{place}."
    for key in value:
        if not isinstance(key, str):
            raise InputError(f"{prefix}{key}: found the name {key!r}, wanted text. Put quotes around it.")
        if key not in known and others is False:
            raise InputError(f"{prefix}{key}: unknown option.{nearest(key, known)}")
    for key in part.get("required", []):
        if key not in value:
            raise InputError(f"{place}: the option '{key}' is missing. {resolve(known[key], schema)['description']}")
    filled = {}
    for key, option in known.items():
        if key in value:
            filled[key] = fill(value[key], option, schema, f"{prefix}{key}")
        elif "default" in (option := resolve(option, schema)):
            filled[key] = fill(copy.deepcopy(option["default"]), option, schema, f"{prefix}{key}")
    for key in value:
        if key not in known:
            filled[key] = fill(value[key], others, schema, f"{prefix}{key}")
    return filled


def _source(value, branches: list[dict], schema: dict, place: str) -> dict:
    """The branch of a data set's schema that its `source` chooses."""
    sources = {}
    for branch in branches:
        branch = resolve(branch, schema)
        sources[branch["properties"]["source"]["const"]] = branch
    if not isinstance(value, dict) or "source" not in value:
        raise InputError(f"{place}: the option 'source' is missing; it is one of {', '.join(sources)}.")
    if value["source"] not in sources:
        raise InputError(f"{place}.source: found '{value['source']}'.{nearest(value['source'], sources)}")
    chosen = sources[value["source"]]
    for key in value:
        other = {name: branch["properties"][key] for name, branch in sources.items() if key in branch["properties"]}
        if key not in chosen["properties"] and other:
            option = resolve(next(iter(other.values())), schema)
            raise InputError(
                f"{place}.{key}: an option of {', '.join(other)}, not of {value['source']}. {option['description']}"
            )
    return chosen


def _shallow(part: dict) -> dict:
    """The part's own rules, without those of what it holds (these are checked one by one)."""
    inner = ("properties", "additionalProperties", "items", "required", "$ref")
    return {key: rule for key, rule in part.items() if key not in inner}


def _readable(error, part: dict) -> str:
    if error.validator == "type":
        advice = _as_number(error.instance) if {"number", "integer"} & set(_list(error.validator_value)) else ""
        text = f"found {error.instance!r}, wanted {_any(error.validator_value)}.{advice} {part.get('description', '')}"
        return text.strip()
    wanted = {
        "enum": f"wanted one of {', '.join(map(str, part.get('enum', [])))}",
        "minimum": f"wanted {error.validator_value} or more",
        "maximum": f"wanted {error.validator_value} or less",
        "exclusiveMinimum": f"wanted more than {error.validator_value}",
        "exclusiveMaximum": f"wanted less than {error.validator_value}",
        "multipleOf": f"wanted a multiple of {error.validator_value}",
        "not": "wanted an odd number",
        "minItems": f"wanted {error.validator_value} or more entries",
        "minProperties": f"wanted {error.validator_value} or more entries",
        "maxProperties": f"wanted {error.validator_value} entries at most",
        "pattern": PATTERNS.get(str(error.validator_value), error.message),
    }.get(error.validator, error.message)
    return f"found {error.instance!r}, {wanted}. {part.get('description', '')}".strip()


def _list(value) -> list:
    return value if isinstance(value, list) else [value]


def _any(types) -> str:
    names = {"object": "options with names", "array": "a list", "integer": "a whole number", "string": "text"}
    return " or ".join(names.get(kind, f"a {kind}") for kind in _list(types))


def _as_number(value) -> str:
    """What to write for a number that YAML takes for text: 1e-3, or one in quotes."""
    try:
        number = Decimal(value)
    except (InvalidOperation, TypeError):
        return ""
    return f" YAML reads this as text: write {number:f}, without quotes." if number.is_finite() else ""


def nearest(word, known: Iterable[str]) -> str:
    """A sentence that names the nearest known word, and all of them where none is near."""
    known = list(known)
    match = difflib.get_close_matches(str(word), known, n=1, cutoff=0.6)
    return f" Did you mean '{match[0]}'?" if match else f" Known here: {', '.join(known)}."
