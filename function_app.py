"""What the Functions worker imports: every function of the app, and nothing else.

An import that raises would leave the app without any function, the config API included. So nothing here may raise,
whatever storage does: the jobs' timers are read within a time budget, and the sweep runs the jobs that got none.
"""

import azure.functions as func

from functions import http_api, job_timers, run_queue, sweep

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)

http_api.register(app)
run_queue.register(app)
sweep.register(app, timers=job_timers.register(app))
