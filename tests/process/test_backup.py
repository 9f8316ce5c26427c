"""A snapshot is saved over HTTP, restored by the command, and served by a new member."""

from __future__ import annotations

import base64
import json
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from tests.conformance.servers import Server, lone_member, running, trioetcd_command
from tests.conformance.wire import BodyStream
from tests.process.client import call, everything, put

pytestmark = pytest.mark.process


def save(server: Server, path: Path) -> None:
    """What `curl | jq -r .result.blob | base64 -d` does."""
    stream = BodyStream(server.address, "/v3/maintenance/snapshot", [b"{}"])
    data = b""
    try:
        while True:
            result = json.loads(stream.take(seconds=5.0))["result"]
            blob = base64.b64decode(result["blob"])
            if len(blob) == 32 and blob == sha256(data).digest():
                path.write_bytes(data + blob)
                return
            data += blob
    finally:
        stream.close()


def test_a_snapshot_becomes_a_member_of_a_new_cluster(tmp_path: Path) -> None:
    old = lone_member("trioetcd", tmp_path / "old")
    with running(old):
        for number in range(100):
            put(old, f"k{number % 30}", "v" * 1000)
        call(old, "/v3/lease/grant", {"ID": "77", "TTL": "3600"})
        save(old, tmp_path / "backup")
        put(old, "later", "v")
        revision, keys = everything(old)
        members = call(old, "/v3/cluster/member/list", {})["members"]
    new = lone_member("trioetcd", tmp_path / "new")
    command = [*trioetcd_command()[:-1], "utl", "snapshot", "restore", str(tmp_path / "backup")]
    flags = [f"--name={new.name}", f"--data-dir={new.data_dir}", f"--initial-cluster-token={tmp_path.name}"]
    peer_url = f"--initial-advertise-peer-urls=http://127.0.0.1:{new.peer_port}"
    subprocess.run([*command, *flags, peer_url], check=True, capture_output=True)
    with running(new):
        del keys["later"]
        assert everything(new) == (revision - 1, keys)
        assert call(new, "/v3/lease/leases", {})["leases"] == [{"ID": "77"}]
        assert put(new, "k", "v") == revision
        [member] = call(new, "/v3/cluster/member/list", {})["members"]
        assert member["ID"] != members[0]["ID"]
