"""All Redis access, and what is kept beside Redis: the embedded server and the output archive."""
