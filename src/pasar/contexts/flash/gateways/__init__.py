"""Where queues are kept: in the process, or in Redis."""
