"""Where everything lies: a protocol, and SQLite behind it."""
