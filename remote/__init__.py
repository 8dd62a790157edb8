"""The wire and what travels on it: runner, node session, SSH transport, host keys."""
