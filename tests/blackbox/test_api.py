"""The OpenAPI document against the server, by schemathesis: whatever the document allows, and much that it forbids, is
answered as it says, and never with a server's error."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.federation import peer_token

A, B = "empresa-a", "empresa-b"
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
]
# Examples for each operation in the last of its phases; with the others all callers together make more than 2,000 cases.
CALLERS = {"a company": 60, "the operator": 20, "nobody": 20}
_cases = {}


@pytest.mark.parametrize("caller", CALLERS)
def test_whatever_is_sent_is_answered_as_documented(stage, seed, caller):
    """Bodies, parameters and headers that the document describes, at its edges and beyond them."""
    federation = stage.federation
    tokens = {"a company": peer_token(A, B), "the operator": federation.b.operator_token, "nobody": None}
    token = tokens[caller]
    command = [
        Path(sys.executable).parent / "schemathesis", "run", f"{federation.b.url}/openapi.json",
        "--phases", "examples,coverage,fuzzing", "--max-examples", CALLERS[caller], "--seed", seed,
        "--checks", ",".join(CHECKS), "--continue-on-failure", "--request-timeout", 10,
        # Its answer has no end.
        "--exclude-path", "/eventos",
        *(["--header", f"Authorization: Bearer {token}"] if token else []),
    ]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-12_000:] + done.stderr[-2_000:]
    found = re.search(r"([\d,]+) generated", done.stdout)
    assert found, done.stdout[-2_000:]
    _cases[caller] = int(found[1].replace(",", ""))
    assert federation.b.process.is_running
    assert "panicked" not in federation.b.process.output()


def test_enough_was_sent():
    """A run that generates next to nothing would pass, too."""
    assert sum(_cases.values()) >= 2000, _cases
