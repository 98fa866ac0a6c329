called_by_xla: bool
