"""The runner of user Workers."""
