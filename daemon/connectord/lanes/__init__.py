"""One lane per system: claims what is due, attempts it, reports what came of it."""
