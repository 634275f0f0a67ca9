#!/usr/bin/env bash
# A real S3 server for tests: one Ceph monitor, one disk in a file and an object gateway, on loopback, with throw-away data.
#
#   scripts/s3-ceph.sh up DIR [PORT]     make DIR and start everything in it; when DIR is there already, only start
#   scripts/s3-ceph.sh stop DIR          end it; the data stays
#   scripts/s3-ceph.sh kill DIR          end it with kill -9, as a power cut would
#   scripts/s3-ceph.sh installed         exit status 0 when the programs are here
#
# The server is http://127.0.0.1:PORT (7480), path-style, region us-east-1, key testkey, secret testsecret.
# DISK says how large the disk may grow (bytes, 8 GiB); it is a sparse file.
set -euo pipefail

PROGRAMS="ceph ceph-authtool ceph-mon ceph-osd monmaptool radosgw radosgw-admin"
DAEMONS="client.rgw osd.0 mon.a"  # in the order in which they end

fail() { echo "s3-ceph: $*" >&2; exit 1; }

installed() {
  local program
  for program in $PROGRAMS; do command -v "$program" >/dev/null || return 1; done
}

new_uuid() { cat /proc/sys/kernel/random/uuid; }

run_as() { if [ "$(id -u)" = 0 ]; then echo --setuser root --setgroup root; fi; }

is_alive() { [ -d "/proc/$1" ] && ! grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null; }

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

until_true() {  # SECONDS COMMAND...: ask twice a second
  local tries=$(($1 * 2)); shift
  while ! "$@"; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || return 1
    sleep 0.5
  done
}

disk_is_up() { timeout 5 ceph -c "$DIR/ceph.conf" osd stat 2>/dev/null | grep -q '1 up'; }

end_all() {  # SIGNAL
  local name pid
  for name in $DAEMONS; do
    pid=$(cat "$DIR/run/$name.pid" 2>/dev/null) || continue
    kill "-$1" "$pid" 2>/dev/null || true
    while is_alive "$pid"; do sleep 0.1; done
    rm -f "$DIR/run/$name.pid"
  done
}

write_settings() {  # FSID
  cat > "$DIR/ceph.conf" <<SETTINGS
[global]
fsid = $1
mon_host = v2:127.0.0.1:$((PORT + 1))
mon_initial_members = a
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_ipv6 = false
keyring = $DIR/keyring
run_dir = $DIR/run
pid_file = $DIR/run/\$name.pid
admin_socket = $DIR/run/\$name.asok
log_file = $DIR/log/\$name.log
mon_data = $DIR/mon
osd_data = $DIR/osd
bluestore_block_size = ${DISK:-8589934592}
osd_memory_target = 939524096
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pgp_num = 8
osd_crush_chooseleaf_type = 0
osd_class_load_list = *
osd_class_default_list = *
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 500
mon_data_avail_warn = 2
mon_data_avail_crit = 1
rgw_frontends = beast endpoint=127.0.0.1:$PORT
rgw_run_sync_thread = false
SETTINGS
}

make_cluster() {
  local fsid disk
  mkdir -p "$DIR/mon" "$DIR/osd" "$DIR/run" "$DIR/log"
  fsid=$(new_uuid)
  write_settings "$fsid"
  ceph-authtool --create-keyring "$DIR/keyring" --gen-key -n mon. --cap mon 'allow *'
  ceph-authtool "$DIR/keyring" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *'
  monmaptool --create --addv a "[v2:127.0.0.1:$((PORT + 1))]" --fsid "$fsid" "$DIR/monmap"
  # shellcheck disable=SC2046 # two words or none
  ceph-mon "${CONF[@]}" --mkfs -i a --monmap "$DIR/monmap" --keyring "$DIR/keyring" $(run_as)
  ceph-mon "${CONF[@]}" -i a $(run_as)
  disk=$(new_uuid)
  ceph "${CONF[@]}" osd new "$disk" 0
  ceph "${CONF[@]}" auth get-or-create osd.0 mon 'allow profile osd' osd 'allow *' >> "$DIR/keyring"
  ceph "${CONF[@]}" auth get-or-create client.rgw mon 'allow *' osd 'allow *' >> "$DIR/keyring"
  ceph-osd "${CONF[@]}" -i 0 --mkfs --osd-uuid "$disk" $(run_as)
  end_all TERM
}

start_all() {
  rm -f "$DIR"/run/*
  # shellcheck disable=SC2046
  ceph-mon "${CONF[@]}" -i a $(run_as)
  ceph-osd "${CONF[@]}" -i 0 $(run_as)
  until_true 60 disk_is_up || fail "the disk does not come up; see $DIR/log/osd.0.log"
  radosgw "${CONF[@]}" -n client.rgw $(run_as)
  until_true 60 answers "$PORT" || fail "the gateway does not answer; see $DIR/log/client.rgw.log"
}

add_user() {
  radosgw-admin "${CONF[@]}" -n client.rgw user create --uid=tests --display-name=tests \
    --access-key=testkey --secret-key=testsecret
}

up() {
  installed || fail "the gateway is not installed: apt-get install --no-install-recommends ceph-mon ceph-osd radosgw ceph-common"
  if answers "$PORT"; then fail "something listens on port $PORT already"; fi
  # What these programs say is noise until something fails.
  if [ ! -e "$DIR/ready" ]; then
    rm -rf "$DIR/mon" "$DIR/osd"
    mkdir -p "$DIR"
    { make_cluster && start_all && add_user; } > "$DIR/setup.log" 2>&1 || fail "setting up failed; see $DIR/setup.log"
    touch "$DIR/ready"
  else
    start_all > "$DIR/start.log" 2>&1 || fail "starting failed; see $DIR/start.log"
  fi
  echo "s3-ceph: http://127.0.0.1:$PORT"
}

[ "${1:-}" != installed ] || { installed; exit; }
[ "$#" -ge 2 ] || fail "usage: s3-ceph.sh up|stop|kill DIR [PORT]"
DIR=$(realpath -m "$2")
PORT=${3:-7480}
CONF=(-c "$DIR/ceph.conf")
case $1 in
  up) up ;;
  stop) end_all TERM ;;
  kill) end_all KILL ;;
  *) fail "usage: s3-ceph.sh up|stop|kill DIR [PORT]" ;;
esac
