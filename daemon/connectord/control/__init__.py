"""The control socket: what admins and upstream software talk to."""
