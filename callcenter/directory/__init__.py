"""People at the seats and the queues they serve: records, upserts from the configuration, policy."""
