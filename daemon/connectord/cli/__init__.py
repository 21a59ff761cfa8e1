"""The two commands, connectord and connectorctl."""
