#!/bin/bash
set -u
mkdir -p /var/lib/cellfleet /usr/local/sbin
chmod 1777 /var/lib/cellfleet
rm -f /var/lib/cellfleet/spot-notice
touch /var/lib/cellfleet/alive
chmod 0666 /var/lib/cellfleet/alive
cat > /usr/local/sbin/cellfleet-watch <<'CELLFLEET'
#!/bin/sh
# CellFleet: powers this machine off when no work is left, and passes on the spot notice.
# `cellfleet-watch` does so for ever; `cellfleet-watch life` looks once at the signs of life.
set -u
umask 022
export LC_ALL=C

kind=cellfleet
shared=/var/lib/cellfleet
own=/var/lib/cellfleet-watch
run=/run/cellfleet-watch
cgroups=/sys/fs/cgroup
metadata=http://169.254.169.254/latest
agent=http://localhost:51678/v1
quiet_limit=900
pull_limit=1800

since_boot() { # in whole seconds
  read -r up _ < /proc/uptime
  echo "${up%%.*}"
}

keep() { # NAME VALUE
  echo "$2" > "$run/$1.new" && mv -f "$run/$1.new" "$run/$1"
}

recall() { # NAME; nothing if it was lost
  read -r kept 2> /dev/null < "$run/$1" && echo "$kept"
}

recall_number() {
  kept=$(recall "$1")
  case $kept in *[!0-9]*) ;; *) echo "$kept" ;; esac
}

fetch() {
  curl -s --noproxy '*' "$@"
}

prepare() {
  mkdir -p "$shared" "$own" "$run"
  chmod 1777 "$shared"
  chmod 0700 "$own"
  # Moved into place should the disk be full when the notice comes.
  [ -s "$own/spare" ] || echo '{"action": "terminate"}' > "$own/spare"
}

# --- signs of life ----------------------------------------------------------------------

mark_of_workers() {
  stat -c %y "$shared/alive" 2> /dev/null
}

new_mark() { # of any worker, since the last look
  mark=$(mark_of_workers)
  if [ -z "$mark" ]; then # deleted: made anew, which is no sign
    mkdir -p "$shared" && : > "$own/alive" && chmod 0666 "$own/alive" &&
      mv -fT "$own/alive" "$shared/alive"
    keep mark "$(mark_of_workers)"
    return 1
  fi
  before=$(recall mark)
  [ "$mark" = "$before" ] && return 1
  keep mark "$mark"
  [ -n "$before" ]
}

quiet_by_the_clock() { # seconds since the mark, at most since boot
  at=$(stat -c %Y "$shared/alive" 2> /dev/null) || at=0
  age=$(($(date +%s) - at))
  [ "$age" -gt "$now" ] && age=$now
  echo "$age"
}

list_containers() { # of tasks; the agent's own isn't one
  timeout 15 docker ps -q --no-trunc --filter label=com.amazonaws.ecs.task-arn 2> /dev/null
}

cpu_of() { # CONTAINER: microseconds used so far; nothing if it is gone
  group=$(find "$cgroups" -type d -name "*$1*" \( -exec test -e '{}/cpuacct.usage' \; -o \
    -exec grep -qs '^usage_usec' '{}/cpu.stat' \; \) -print -quit 2> /dev/null)
  if [ -z "$group" ]; then return; fi
  if [ -e "$group/cpuacct.usage" ]; then # version 1 counts nanoseconds
    sed -n 's/...$//p' "$group/cpuacct.usage" 2> /dev/null
  else
    sed -n 's/^usage_usec //p' "$group/cpu.stat" 2> /dev/null
  fi
}

busy() { # did the containers that were there at the last look use 1 % of the machine since?
  since=$(recall_number cpu-time)
  sum=0
  : > "$run/cpu.new"
  for container in $containers; do
    used=$(cpu_of "$container")
    [ -n "$used" ] || continue
    before=$(sed -n "s/^$container //p" "$run/cpu" 2> /dev/null)
    [ -n "$before" ] && sum=$((sum + used - before))
    echo "$container $used" >> "$run/cpu.new"
  done
  mv -f "$run/cpu.new" "$run/cpu"
  keep cpu-time "$now"
  [ -n "$since" ] && [ "$now" -gt "$since" ] || return 1
  # On large machines a tenth of one core will do: the last job may be alone there.
  cores=$(nproc)
  [ "$cores" -gt 10 ] && cores=10
  [ "$sum" -ge $(((now - since) * cores * 10000)) ]
}

power_off() { # WHY
  echo "powering off: $1"
  shutdown -h now || systemctl poweroff --force --force
}

life() {
  now=$(since_boot)
  last=$(recall_number life)
  if [ -z "$last" ]; then
    last=0 # boot is a sign of life
    [ "$kind" = dcp ] || last=$((now - $(quiet_by_the_clock)))
  fi
  [ "$last" -gt "$now" ] && last=$now # the clock was set back, or /run outlived a boot

  new_mark && last=$now
  first=$(recall first)
  containers=
  if [ -z "$first" ] || [ "$kind" = dcp ]; then containers=$(list_containers); fi
  if [ -z "$first" ] && [ -n "$containers" ] && keep first seen; then # it is a sign, too
    first=seen
    last=$now
  fi
  if [ "$kind" = dcp ] && busy; then last=$now; fi
  keep life "$last"

  if fetch -f -m 10 -o /dev/null "$agent/metadata"; then keep agent "$now"; fi
  answered=$(recall_number agent)
  silent=$((now - ${answered:-0}))

  limit=$quiet_limit
  if [ -z "$first" ]; then
    case $(fetch -f -m 10 "$agent/tasks") in *'"Arn"'*) limit=$pull_limit ;; esac
  fi
  if [ $((now - last)) -ge "$limit" ]; then
    power_off "no sign of work for $(((now - last) / 60)) minutes"
  elif [ "$silent" -ge "$quiet_limit" ]; then
    power_off "the ECS agent has not answered for $((silent / 60)) minutes"
  fi
}

# --- the spot notice ------------------------------------------------------------------------

token=
spot_notice() {
  [ -e "$shared/spot-notice" ] && return
  if [ -z "$token" ]; then
    token=$(fetch -f -m 2 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 21600' \
      "$metadata/api/token") || token=
    [ -n "$token" ] || return
  fi
  answer=$(fetch -m 2 -w '%{http_code}' -H "X-aws-ec2-metadata-token: $token" \
    "$metadata/meta-data/spot/instance-action") || return
  notice=${answer%???}
  case ${answer#"$notice"}$notice in
    200*'{'*'}'*) ;;
    200* | 404*) return ;; # none
    *) token= && return ;; # perhaps the token is too old
  esac
  { echo "$notice" > "$own/notice" && mv -fT "$own/notice" "$shared/spot-notice"; } ||
    mv -fT "$own/spare" "$shared/spot-notice" || return
  echo "passed on: $notice"
}

case ${1:-} in
  life)
    prepare
    life
    ;;
  *)
    prepare
    next=0
    while :; do
      spot_notice
      now=$(since_boot)
      if [ "$now" -ge "$next" ]; then
        next=$((now + 60))
        timeout -k 5 50 sh "$0" life
      fi
      sleep 5
    done
    ;;
esac
CELLFLEET
if [ -d /run/systemd/system ]; then
cat > /etc/systemd/system/cellfleet-watch.service <<'CELLFLEET'
[Unit]
Description=CellFleet: power off when no work is left, pass on the spot notice
StartLimitIntervalSec=0

[Service]
ExecStart=/bin/sh /usr/local/sbin/cellfleet-watch
Restart=always
RestartSec=5
OOMScoreAdjust=-1000

[Install]
WantedBy=multi-user.target
CELLFLEET
systemctl daemon-reload
systemctl enable --now --no-block cellfleet-watch
else
setsid sh -c 'while :; do sh /usr/local/sbin/cellfleet-watch; sleep 5; done' < /dev/null > /dev/null 2>&1 &
fi
cat > /etc/ecs/ecs.config <<'CELLFLEET'
ECS_CLUSTER=imaging
ECS_AVAILABLE_LOGGING_DRIVERS=["json-file","awslogs"]
ECS_INSTANCE_ATTRIBUTES={"cellfleet.run":"Screen-20240301T0930004f2a"}
ECS_ENABLE_SPOT_INSTANCE_DRAINING=true
ECS_ENABLE_TASK_IAM_ROLE=true
CELLFLEET
