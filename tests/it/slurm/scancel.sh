#!/bin/sh
# Ends the tasks of jobs.
[ "$1" = --state=PENDING ] && exit 0
for id; do
    touch "$FAKE_SLURM/job-$id/cancelled"
    for process in "$FAKE_SLURM/job-$id"/*.pid; do
        [ -e "$process" ] && kill -TERM "$(cat "$process")" 2>/dev/null
    done
done
exit 0
