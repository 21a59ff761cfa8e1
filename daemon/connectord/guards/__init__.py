"""What keeps a plugin's fault from taking the daemon down: who blocks the loop, who holds up the end, who forks."""
