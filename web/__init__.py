"""The web faces: pages, live streams, API."""
