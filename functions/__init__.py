"""Thin triggers: the only code that knows Azure Functions."""

#: The version of the app, as pyproject.toml has it (a test holds the two together).
VERSION = "0.1.0"
