"""Tasks of a user's own, read as a YAML file describes them (`xstilts.config.task_file`)."""
