"""Stands in for the command `conda` as Snakemake calls it: rattler solves and installs from a local channel.

It reads the environment files of this repository but not their channels; so it shows that a file lists what its
rules import, and that Snakemake's way through conda works, and says nothing about conda-forge.
Usage: conda.py CHANNEL PREFIX ARGUMENT...
"""

import asyncio
import json
import os
import sys
import traceback
from pathlib import Path

import yaml
from rattler import Channel, Platform, install, solve


def create(channel: str, prefix: str, file: str, target: str) -> None:
    """Make the environment of one file."""
    specs = yaml.safe_load(Path(file).read_text(encoding="utf-8"))["dependencies"]

    async def run() -> None:
        records = await solve([Channel(Path(channel).as_uri())], specs, platforms=["noarch"])
        await install(records, target, cache_dir=Path(prefix, "pkgs"), show_progress=False)

    asyncio.run(run())


def main(channel: str, prefix: str, *arguments: str) -> None:
    if arguments[:1] == ("info",):
        print(json.dumps({"conda_prefix": prefix, "platform": str(Platform.current())}))
    elif arguments == ("--version",):
        print("conda 25.1.0")
    elif arguments[:1] == ("config",):
        print(json.dumps({"get": {"channel_priority": "strict"}}))
    elif arguments[:2] == ("env", "create"):
        create(channel, prefix, *(arguments[arguments.index(option) + 1] for option in ("--file", "--prefix")))
    elif arguments[:1] != ("clean",):
        raise ValueError(f"unknown to the stand-in for conda: {' '.join(arguments)}")


if __name__ == "__main__":
    code = 1
    try:
        main(*sys.argv[1:])
        code = 0
    except Exception:
        traceback.print_exc()
    sys.stdout.flush()
    os._exit(code)  # rattler's threads can crash an interpreter that ends in the usual way
