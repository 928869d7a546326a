"""Example questions of the SQL page; those of `examples/questions.md`, and one across sweeps."""

from collections.abc import Mapping

QUESTIONS: Mapping[str, str] = {
    "Which configs are the best?": (
        "SELECT trial, objective FROM trials WHERE state = 'COMPLETE' ORDER BY objective, trial LIMIT 5"
    ),
    "How did the trials end?": "SELECT state, count(*) FROM trials GROUP BY state ORDER BY state",
    "Why were trials cut or lost?": (
        "SELECT reason, count(*) FROM trials WHERE reason IS NOT NULL GROUP BY reason ORDER BY reason"
    ),
    "How many seconds of CPU went where?": "SELECT state, sum(cpu_s) FROM trials GROUP BY state ORDER BY state",
    "Which configs were steady as well as good?": (
        "SELECT trial, neg_elbo, instability FROM trials WHERE instability < 0.2 ORDER BY neg_elbo, trial LIMIT 5"
    ),
    "How fast does the best of all fall, epoch by epoch?": (
        "SELECT epoch, min(neg_elbo) FROM epochs GROUP BY epoch ORDER BY epoch"
    ),
    "How good are the finalists over the seeds that testify?": (
        "SELECT trial, avg(-iwae), count(*) FROM finalists WHERE state = 'COMPLETE' AND confirm_seed > 0\n"
        "GROUP BY trial ORDER BY trial"
    ),
    "By how much did the search flatter each finalist?": (
        "SELECT trial, avg(f.objective) - any_value(t.objective) FROM finalists f JOIN trials t USING (sweep, trial)\n"
        "WHERE f.state = 'COMPLETE' AND f.confirm_seed > 0 GROUP BY trial ORDER BY trial"
    ),
}
