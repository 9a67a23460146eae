"""Scenarios: simulated customers (Locust), whole simulated runs, faults and named experiments with their expected verdicts.

Promises: it drives the system from outside only (HTTP, the control socket, read-only SQL for evidence); every operation is
recorded before it is sent; a run that cannot be judged is never called valid. Of ours it may import checker and settings.
Modules that import Locust (gevent) are started as processes of their own: `traffic` and `load`.
"""
