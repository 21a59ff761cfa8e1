"""The commands of connectorctl, by theme. Importing a module adds its commands to the group."""
