"""A second model of the rules, written from their text and not from the code, and what compares both."""
