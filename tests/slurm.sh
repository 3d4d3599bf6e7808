#!/bin/sh
# Starts a SLURM of one node, this machine, that listens on the loopback interface only. Needs root, slurm-wlm, munge.
#   sh tests/slurm.sh FOLDER PORT PORT     prints the SLURM_CONF to use; tests/slurm.sh stop FOLDER ends it
set -eu
if [ "$1" = stop ]; then
  for name in slurmd slurmctld munged; do
    [ ! -f "$2/$name.pid" ] || kill "$(cat "$2/$name.pid")" 2> /dev/null || true
  done
  exit 0
fi
folder=$(realpath "$1")
mkdir -p "$folder/state" "$folder/spool" "$folder/munge"
chown -R munge "$folder/munge"
chmod 755 "$folder" "$folder/munge"
dd if=/dev/urandom of="$folder/munge/key" bs=1024 count=1 2> /dev/null
chown munge "$folder/munge/key"
chmod 400 "$folder/munge/key"
node=$(hostname -s)
cat > "$folder/slurm.conf" <<CONF
ClusterName=one
SlurmctldHost=$node(127.0.0.1)
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AuthInfo=socket=$folder/munge/socket
CredType=cred/munge
SlurmUser=root
SlurmctldPort=$2
SlurmdPort=$3
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
MaxArraySize=1001
SchedulerParameters=sched_interval=1,batch_sched_delay=0
NodeName=$node NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=main Nodes=$node Default=YES MaxTime=INFINITE State=UP OverSubscribe=YES
CONF
runuser -u munge -- /usr/sbin/munged --key-file="$folder/munge/key" --socket="$folder/munge/socket" \
  --pid-file="$folder/munge/pid" --log-file="$folder/munge/log" --seed-file="$folder/munge/seed"
ln -sf "$folder/munge/pid" "$folder/munged.pid"
SLURM_CONF=$folder/slurm.conf
export SLURM_CONF
/usr/sbin/slurmctld -i
/usr/sbin/slurmd
for _ in $(seq 60); do
  if sinfo --noheader --format %T 2> /dev/null | grep -q idle; then
    echo "$SLURM_CONF"
    exit 0
  fi
  sleep 0.5
done
cat "$folder/slurmctld.log" "$folder/slurmd.log" >&2
exit 1
