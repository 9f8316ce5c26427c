"""The version of etcd whose behaviour this follows, as clients read it.

Clients parse `/version` and the version of a status answer as plain X.Y.Z and turn features on by it: progress requests
of a watch need at least 3.5.13, for example.
"""

from __future__ import annotations

from typing import Final, NamedTuple

SERVER_VERSION: Final = "3.5.33"
API_VERSION: Final = "3.5"
MIN_CLUSTER_VERSION: Final = "3.0.0"


class VersionInfo(NamedTuple):
    """What `/version` tells: the etcd that this behaves as, and the version that the cluster agreed on.

    `etcdcluster` is `not_decided` until the cluster has agreed.
    """

    etcdserver: str
    etcdcluster: str
