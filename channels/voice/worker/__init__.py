"""The voice worker: a bare process around pjsua2 that acts and decides nothing by itself."""
