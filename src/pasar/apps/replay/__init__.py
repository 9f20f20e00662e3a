"""Replaying a real order history through the HTTP API of a deployment of its own, and reconciling it to the penny.

`reader` says what each row is, `plan` what is to be done, `stage` starts the deployment, `drive` plays the plan day by
day by `steps` of the `client`, `journal` remembers what is done, `reconcile` compares what came of it.
"""

from pasar.apps.replay.run import replay_orders

__all__ = ["replay_orders"]
