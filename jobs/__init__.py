"""What a job is and what may happen to it: pure decisions, no I/O, no clock."""
