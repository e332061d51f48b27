#!/bin/sh
# A Slurm of one machine without limits: the tasks are processes, whose ids and exit codes lie in $FAKE_SLURM/job-<id>.
id=17
while [ -e "$FAKE_SLURM/job-$id" ]; do id=$((id + 1)); done
while [ $# -gt 0 ]; do
    case $1 in
        --array=0-*) last=${1#--array=0-} ;;
        --export=*) exported=${1#--export=} ;;
        --output) log=$2; shift ;;
        --chdir) folder=$2; shift ;;
        --partition=nowhere) echo 'sbatch: error: invalid partition specified: nowhere' >&2; exit 1 ;;
        -*) ;;
        *) break ;;
    esac
    shift
done
job=$FAKE_SLURM/job-$id
mkdir "$job"
echo "$*" > "$job/command"
echo "$exported" > "$job/exported"
hold=$(cat "$FAKE_SLURM/hold" 2>/dev/null)
cd "$folder" || exit 1
task=0
while [ "$task" -le "$last" ]; do
    echo "$hold" > "$job/$task.pending"
    if [ -z "$hold" ]; then
        (
            for name in $(env | sed -n 's/^\([A-Za-z_][A-Za-z_0-9]*\)=.*/\1/p'); do
                case ",$exported," in *",$name,"*) ;; *) unset "$name" ;; esac
            done
            export SLURM_ARRAY_TASK_ID="$task" SLURM_ARRAY_TASK_COUNT="$((last + 1))" SLURM_CPUS_PER_TASK=1
            /bin/sh "$@" >> "$(echo "$log" | sed "s/%a/$task/")" 2>&1 &
            echo $! > "$job/$task.pid"
            wait $!
            echo $? > "$job/$task.code"
        ) > /dev/null 2>&1 < /dev/null &
    fi
    task=$((task + 1))
done
[ -e "$FAKE_SLURM/stall" ] && { echo x > "$FAKE_SLURM/stall"; read -r _ < "$FAKE_SLURM/stall"; exit 1; }
echo "$id;cluster"
