"""How hard a run's intermediate tasks are, from the visits and weights that its stages have left."""
