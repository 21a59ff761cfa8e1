"""What is the matter, and what to do about it: the checks behind ``connectorctl doctor``.

Each check is a function of its own that looks and changes nothing. The daemon runs them, for only it knows what is in
force; without a daemon the command runs those that a configuration file is enough for.
"""
