"""Web chat: the widget that a site embeds, and the socket that it talks to."""
