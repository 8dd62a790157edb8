"""The central daemon, its store, its command line and what connects them."""

VERSION = "0.1.0"  #: the package's too: the build reads this line
