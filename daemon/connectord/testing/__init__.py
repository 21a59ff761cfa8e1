"""Supported helpers for tests of adapters and of whole daemons."""
