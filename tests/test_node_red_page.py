"""docs/examples/node-red.md says what is so."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path

from connectord.config import load_config
from connectord_http.adapter import HttpAdapter
from connectord_http.settings import HttpSettings

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "examples" / "node-red.md").read_text(encoding="utf-8")
FLOW = {node["id"]: node for node in json.loads((ROOT / "docs/examples/node-red/flows.json").read_text("utf-8"))}
SETTINGS = (ROOT / "tests/peers/node-red/settings.js").read_text(encoding="utf-8")
PACKAGES = json.loads((ROOT / "tests/peers/node-red/package-lock.json").read_text("utf-8"))["packages"]


def _code() -> str:
    return "\n".join(node["func"] for node in FLOW.values() if node["type"] == "function")


def test_the_configuration_loads_and_fits_the_flow(tmp_path: Path) -> None:
    (text,) = re.findall(r"^    ```toml\n(.*?)^    ```", PAGE, re.DOTALL | re.MULTILINE)
    file = tmp_path / "connectord.toml"
    file.write_text(textwrap.dedent(text), encoding="utf-8")
    environ = {"NODE_RED_AUTHORIZATION": "Bearer s3cret"}
    config = load_config(file, adapters={"http": HttpAdapter}, environ=environ)
    settings = config.systems["books"].settings
    assert isinstance(settings, HttpSettings)
    assert settings.url.endswith(":1880" + FLOW["jobs"]["url"])
    assert f"CALLBACKS={config.callbacks.public_url}/callback/" in PAGE


def test_what_the_flow_reads_and_plays_is_all_explained() -> None:
    variables = set(re.findall(r'env\.get\("(\w+)"\)', _code()))
    assert variables == set(re.findall(r"^    \| `(\w+)`", PAGE, re.MULTILINE))
    plays = set(re.findall(r'\.play === "(\w+)"', _code()))
    assert plays | {"succeed"} == set(re.findall(r"^\| (?:none, or )?`(\w+)` \| ", PAGE, re.MULTILINE))
    steps = set(re.findall(r"^- \*\*([\w ]+)\*\*", PAGE, re.MULTILINE))
    assert steps <= {node["name"] for node in FLOW.values() if "name" in node}


def test_the_settings_that_it_shows_are_those_of_the_tests() -> None:
    (fragment,) = re.findall(r"^```js\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    (constant,) = re.findall(r"`(const RESTING[^`]*)`", PAGE)
    assert fragment in SETTINGS
    assert constant in SETTINGS


def test_every_wire_of_the_flow_leads_to_a_node() -> None:
    assert {end for node in FLOW.values() for output in node.get("wires", ()) for end in output} <= set(FLOW)


def test_the_lock_file_pins_everything_and_names_no_registry() -> None:
    packages = {name: package for name, package in PACKAGES.items() if name}
    assert packages["node_modules/node-red"]["version"] == PACKAGES[""]["dependencies"]["node-red"]
    assert not [name for name, package in packages.items() if "resolved" in package]
    bundled = {name for name, package in packages.items() if package.get("inBundle")}
    assert not [name for name in packages.keys() - bundled if "integrity" not in packages[name]]
