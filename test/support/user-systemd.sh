#!/usr/bin/env bash
# Runs a command under a separate systemd user manager, and ends the manager and its services afterwards. Process 1 need
# not be systemd.
# As root: unshare --mount test/support/user-systemd.sh COMMAND…
set -euo pipefail

mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system /run/user/0
chmod 700 /run/user/0
umount -R /sys/fs/cgroup 2>/dev/null || umount -l -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
cgroup=/sys/fs/cgroup/llmctl-test-$$
mkdir -p "$cgroup/init"
echo $$ >"$cgroup/init/cgroup.procs"
export XDG_RUNTIME_DIR=/run/user/0 DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/0/bus

systemd=$(command -v /lib/systemd/systemd || command -v /usr/lib/systemd/systemd)
"$systemd" --user --log-target=null &
manager=$!

finish() {
  systemctl --user exit 2>/dev/null || true
  # Its end takes what it runs with it.
  for _ in $(seq 100); do
    kill -0 "$manager" 2>/dev/null || break
    sleep 0.1
  done
  kill -KILL "$manager" 2>/dev/null || true
  wait "$manager" 2>/dev/null || true
  echo $$ >/sys/fs/cgroup/cgroup.procs
  find "$cgroup" -depth -type d -exec rmdir {} \; 2>/dev/null || true
}
trap finish EXIT

for _ in $(seq 100); do
  systemctl --user show --property=Version >/dev/null 2>&1 && break
  sleep 0.1
done
"$@"
