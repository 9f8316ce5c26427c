"""What clients speak to: listeners, connections, and the adapters from HTTP to the service layer.

`build_routes` makes the table of everything that is served, `ClientListener` serves it.
"""

from __future__ import annotations

from trioetcd.frontend.heads import Cors
from trioetcd.frontend.listener import ClientListener, ListenerStatus
from trioetcd.frontend.member import FrontendMember, Services
from trioetcd.frontend.routes import Routes, build_routes

__all__ = ["ClientListener", "Cors", "FrontendMember", "ListenerStatus", "Routes", "Services", "build_routes"]
