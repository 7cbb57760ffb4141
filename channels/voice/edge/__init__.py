"""The voice edge: the one SIP address of the centre, in front of its workers. See docs/adr/0004-edge.md."""
