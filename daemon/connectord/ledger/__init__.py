"""The ledger: the one writer. Only it changes an action, one transaction per batch, history included."""
