"""The panel: HTTP API, WebSocket feed, pages."""
