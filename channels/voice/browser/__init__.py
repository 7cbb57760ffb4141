"""Browser phones: WebRTC towards pages, SIP towards the workers, in processes of their own."""
