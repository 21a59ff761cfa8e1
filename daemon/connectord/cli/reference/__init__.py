"""The reference pages, made from the code itself: commands, configuration, control socket; for docs/ and for man.

``python -m connectord.cli.reference ROOT`` writes them into a checkout; a test fails where they differ.
"""
