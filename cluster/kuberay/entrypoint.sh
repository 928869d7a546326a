#!/bin/bash
# Entrypoint of a RayJob: `vae-search run` with these arguments. A retry is a whole new cluster, and KubeRay retries a job
# that FAILED, whatever its exit code. Where the spec, the images, damage, a conflict or the sweep itself is the cause
# (exit codes 2, 3, 5, 6) no retry can help, so that job ends as STOPPED instead; its log says why.
set -u
trap : INT TERM # they reach `run` as well, which saves its trials and leaves; this shell waits for it

status=0
vae-search run "$@" || status=$?
case $status in
  2 | 3 | 5 | 6)
    job=$(python -c 'import json, os
print(json.loads(os.environ["RAY_JOB_CONFIG_JSON_ENV_VAR"])["metadata"]["job_submission_id"])')
    echo "Exit code $status, which a retry cannot mend: the job ends as STOPPED." >&2
    ray job stop --no-wait "$job" && sleep 60 # until the signal comes
    ;;
esac
exit "$status"
