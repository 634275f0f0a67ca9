#!/usr/bin/env bash
# The tests that need a real S3 server: install Ceph's gateway where it is missing, start it, test, stop it, forget its data.
# What follows on the command line goes to pytest. S3_PORT is the port that it gets (and the one after it).
set -euo pipefail
cd "$(dirname "$0")/.."
PACKAGES="ceph-mon ceph-osd radosgw ceph-common"
PORT=${S3_PORT:-7580}

if ! scripts/s3-ceph.sh installed; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "test-s3: the S3 gateway is not installed and needs root: apt-get install --no-install-recommends $PACKAGES" >&2
    exit 1
  fi
  apt-get update -qq
  # shellcheck disable=SC2086 # several words
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $PACKAGES >/dev/null
fi

dir=$(mktemp -d -t hubman-s3-XXXXXX)
trap 'scripts/s3-ceph.sh stop "$dir" "$PORT"; rm -rf "$dir"' EXIT
scripts/s3-ceph.sh up "$dir" "$PORT"
HUBMAN_TEST_S3=http://127.0.0.1:$PORT ${PYTHON:-python3} -m pytest -m s3real "$@"
