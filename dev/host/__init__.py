"""A small Functions host: drives a real function_app.py where Azure Functions Core Tools cannot be had.

``python -m dev.host --help``. It is for development: it follows the real host where our app would notice, and says
where it does not.

- Function keys are not asked for, as in Core Tools.
- A timer that was missed while no host ran is not made up for (the real host does, from a schedule's second start on).
- A queue message is hidden for 30 s at a time, renewed while its function runs (the real host: 10 minutes), so that
  the work of a killed host comes back soon.
- At ``functionTimeout`` the real host kills the worker with all it is running; this one says so and lets it run.
"""
