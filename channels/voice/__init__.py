"""Telephone calls: SIP and RTP in worker processes, commanded over a unix socket."""
