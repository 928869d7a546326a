"""Plan of a small sweep that divides one minute by itself."""

from vae_search.search.planning.plan import Demands, plan
from vae_search.search.planning.plan_record import SweepPlan
from vae_search.search.planning.speed import Speed

SPEED = Speed(epoch_s=0.5, slow_epoch_s=0.5, judge_epochs=0.0)
PLAN = SweepPlan(minutes=1.0, workers=2, speed=SPEED, plan=plan(1.0, 2, SPEED, Demands(promotes=True)))
