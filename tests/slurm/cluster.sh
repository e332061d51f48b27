#!/usr/bin/env bash
# A throw-away Slurm cluster on this machine, for the test of a real one: its programs are those of the packages
# slurm-wlm and munge, its state lies in one folder, and its nodes are three daemons with one processor each.
#   cluster.sh up FOLDER      starts it; then: export SLURM_CONF=FOLDER/slurm.conf
#   cluster.sh down FOLDER    ends it
# With SLURM_GPUS=1 all nodes but the first have a GPU each, of which there is only the name.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin
command=${1:?up or down} folder=$(realpath -m "${2:?a folder}")
port=${SLURM_BASE_PORT:-26817} n_nodes=3 gpus=${SLURM_GPUS:-}
export SLURM_CONF=$folder/slurm.conf

write_configuration() {
    local host
    host=$(hostname -s)
    cat > "$SLURM_CONF" <<CONF
ClusterName=loop
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool/%n
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmdPidFile=$folder/run/slurmd-%n.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout=10
KillWait=3
SchedulerParameters=requeue_delay=0,sched_interval=2,bf_interval=2,batch_sched_delay=0
AccountingStorageType=accounting_storage/none
CONF
    [ -z "$gpus" ] || echo GresTypes=gpu >> "$SLURM_CONF"
    for node in $(seq $n_nodes); do
        local more=
        if [ -n "$gpus" ] && [ "$node" -gt 1 ]; then
            more="Gres=gpu:1"
            echo "NodeName=n$node Name=gpu File=/dev/null" >> "$folder/gres.conf"
        fi
        echo "NodeName=n$node NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + node)) CPUs=1 RealMemory=4096 $more"
    done >> "$SLURM_CONF"
    echo "PartitionName=all Nodes=n[1-$n_nodes] Default=YES MaxTime=INFINITE State=UP" >> "$SLURM_CONF"
}

end() { # FILE WITH A PROCESS: ends it
    [ -s "$1" ] || return 0
    kill "$(cat "$1")" 2>/dev/null || true
}

case $command in
up)
    mkdir -p "$folder"/{state,spool/n1,spool/n2,spool/n3,log,run,munge}
    chmod 0700 "$folder/munge"
    (umask 077; head -c 1024 /dev/urandom > "$folder/munge/key")
    write_configuration
    munged --force --key-file="$folder/munge/key" --socket="$folder/munge/socket" --pid-file="$folder/run/munged.pid" \
        --log-file="$folder/log/munged.log" --seed-file="$folder/munge/seed"
    slurmctld
    for node in $(seq $n_nodes); do slurmd -N "n$node"; done
    for _ in $(seq 300); do
        [ "$(sinfo -h -N -o %t 2>/dev/null | grep -c idle)" -eq $n_nodes ] && exit 0
        sleep 0.1
    done
    sinfo -N
    exit 1
    ;;
down)
    for daemon in "$folder"/run/slurmd-*.pid "$folder/run/slurmctld.pid" "$folder/run/munged.pid"; do
        end "$daemon"
    done
    ;;
esac
