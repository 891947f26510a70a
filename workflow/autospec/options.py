"""Every option of the configuration as one page, made from the schema: ``python -m autospec.options``."""

import json
from pathlib import Path

from autospec.schema import read_schema, resolve

PAGE = Path(__file__).parents[2] / "config" / "README.md"

HEAD = """\
# Options of the configuration

Made from `workflow/schemas/config.schema.yaml` by `make config/README.md`; change it there.

| file | what it asks |
|---|---|
| `config.yaml` | The default: every comparison in all five networks, on small data, in minutes, no download. |
| `abide.yaml` | Every comparison on open data: autism and control in ABIDE, and MNIST. |
| `paper.yaml` | All that the paper asks, with 20 seeds: MNIST, Sinusoid, COBRE, ABIDE's FreeSurfer statistics. |
| `mnist.yaml` | Tasks and activations compared on MNIST. |
| `test.yaml` | The whole chain in seconds, for the tests. |

A file of your own needs `datasets` and `comparisons`; everything else has a default:
`snakemake --cores 2 --configfile config/my-study.yaml`. Output of Snakemake's `-n` shows what would run.
An unknown option stops the run before it begins, and names the nearest known one.
"""


def describe(schema: dict) -> str:
    """Write the page: one table a part of the configuration, one row an option."""
    parts = [HEAD]
    top = schema["properties"]
    plain = {name: option for name, option in top.items() if name not in _sections(top)}
    parts.append(_table("All of it", "", {"required": schema["required"], "properties": plain}, schema))
    dataset = schema["$defs"]["dataset"]
    parts.append(f"## Data sets (`datasets`)\n\n{top['datasets']['description']}\n")
    for branch in dataset["oneOf"]:
        branch = resolve(branch, schema)
        source = branch["properties"]["source"]["const"]
        branch["properties"] = {name: option for name, option in branch["properties"].items() if name != "source"}
        parts.append(_table(f"`source: {source}`", branch["description"], branch, schema, 3))
    for name in ("simulate", "participants", "matching", "ica", "load_confounds", "censor", "windows"):
        part = schema["$defs"][name]
        parts.append(_table(f"`{name}`", part["description"], part, schema, 3))
    callipers = schema["$defs"]["matching"]["properties"]["callipers"]
    parts.append(_table("`matching: callipers`", callipers["description"], callipers, schema, 3))
    parts.append(f"## Comparisons (`comparisons`)\n\n{top['comparisons']['description']}\n")
    for name, option in top["comparisons"]["properties"].items():
        parts.append(_table(f"`{name}`", option["description"], resolve(option["items"], schema), schema, 3))
    parts.append(f"## Models (`models`)\n\n{top['models']['description']}\n")
    for name, option in top["models"]["properties"].items():
        parts.append(_table(f"`{name}`", option["description"], option, schema, 3))
    for name in ("training", "statistics"):
        parts.append(_table(f"{name.capitalize()} (`{name}`)", top[name]["description"], top[name], schema))
    return "\n".join(parts)


def _sections(top: dict) -> list[str]:
    return [name for name, option in top.items() if option["type"] == "object"]


def _table(title: str, text: str, part: dict, schema: dict, level: int = 2) -> str:
    lines = [f"{'#' * level} {title}", ""]
    if text:
        lines += [text, ""]
    lines += ["| option | type | default | meaning |", "|---|---|---|---|"]
    for name, option in part["properties"].items():
        option = resolve(option, schema)
        if "default" in option:
            default = f"`{json.dumps(option['default'], ensure_ascii=False)}`" if option.get("type") != "object" else ""
        else:
            default = "required" if name in part.get("required", []) else ""
        lines.append(f"| `{name}` | {_type(option)} | {default} | {option.get('description', '')} |")
    return "\n".join(lines) + "\n"


def _type(option: dict) -> str:
    if "enum" in option:
        return ", ".join("null" if value is None else f"`{value}`" for value in option["enum"])
    kinds = option["type"] if isinstance(option["type"], list) else [option["type"]]
    names = {"integer": "whole number", "string": "text", "array": "list", "object": "options"}
    names["boolean"] = "true, false"
    text = " or ".join(names.get(kind, kind) for kind in kinds)
    bounds = {
        "minimum": "{} or more",
        "exclusiveMinimum": "above {}",
        "maximum": "{} or less",
        "exclusiveMaximum": "below {}",
        "multipleOf": "a multiple of {}",
    }
    return ", ".join([text, *(words.format(option[key]) for key, words in bounds.items() if key in option)])


if __name__ == "__main__":
    PAGE.write_text(describe(read_schema()), encoding="utf-8")
