"""connectord's schemas: the SQL of its store, and JSON Schemas of what it says on its sockets."""
