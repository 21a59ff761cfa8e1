"""connectord's generic HTTP adapter."""
