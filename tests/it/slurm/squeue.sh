#!/bin/sh
# Prints the tasks of the jobs after -j, or the commands of all jobs, as the program asks for them.
case " $* " in *' --user='*)
    for command in "$FAKE_SLURM"/job-*/command; do
        job=${command%/command}
        echo "${job##*-}|$(cat "$command")"
    done
    exit 0
esac
while [ "$1" != -j ]; do shift; done
for id in $(echo "$2" | tr , ' '); do
    for pending in "$FAKE_SLURM/job-$id"/*.pending; do
        task=${pending%.pending}
        state=PENDING reason=$(cat "$pending")
        [ -e "$task.pid" ] && state=RUNNING reason=None
        [ -e "$task.code" ] && state=FAILED && [ "$(cat "$task.code")" = 0 ] && state=COMPLETED
        [ -e "$FAKE_SLURM/job-$id/cancelled" ] && [ $state != RUNNING ] && state=CANCELLED
        echo "$id|$id|$state|${reason:-None}"
    done
done
