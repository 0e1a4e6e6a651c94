"""Many hosts: reading hostfiles, checking machines, launching under supervision, ending within a bounded time."""
