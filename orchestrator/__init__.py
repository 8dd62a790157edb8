"""The central daemon, its store, its command line and what connects them."""
