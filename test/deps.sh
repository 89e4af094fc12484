#!/bin/sh
# Brings what the tests need: compiler, tools, and the four FTP servers.
#
# As root on Debian or Ubuntu it installs packages with apt. vsftpd, ProFTPD and
# Pure-FTPd exclude each other as packages, so they are not installed but
# unpacked below .deps/ (git-ignored), and only the libraries they need are
# installed. Elsewhere it prints what is missing and ends well: a test whose
# program is missing is skipped by its name and says so.
#
# Running it again costs a fraction of a second.
set -eu
cd "$(dirname "$0")/.."
deps=$PWD/.deps
pam=/etc/pam.d/ftpfs-test
mkdir -p "$deps"

# Two runs side by side would step on each other's apt.
if [ -z "${FTPFS_DEPS_LOCKED:-}" ] && command -v flock >/dev/null; then
	FTPFS_DEPS_LOCKED=1 exec flock "$deps/lock" sh test/deps.sh "$@"
fi

have() { command -v "$1" >/dev/null 2>&1; }
unpacked() { [ -x "$deps/$1" ]; }
python() { [ -x /usr/bin/python3 ] && /usr/bin/python3 -I -c "import $1" 2>/dev/null; }

# Users mount by fusermount3, which opens the device as they do. Debian's udev lets
# all open it; a container without udev may keep it to root.
if [ "$(id -u)" = 0 ] && [ -c /dev/fuse ] && [ "$(stat -c %a /dev/fuse)" != 666 ]; then
	echo "test/deps.sh: chmod 666 /dev/fuse, as udev does on Debian"
	chmod 666 /dev/fuse
fi

# Which packages are missing.
want=
for pair in gcc:gcc rsync:rsync git:git sqlite3:sqlite3 fusermount3:fuse3 vim:vim; do
	have "${pair%%:*}" || want="$want ${pair##*:}"
done
[ -e /usr/include/stdlib.h ] || want="$want libc6-dev"
[ -e /etc/protocols ] || want="$want netbase"
ls /lib/*/security/pam_pwdfile.so /usr/lib/*/security/pam_pwdfile.so >/dev/null 2>&1 || want="$want libpam-pwdfile"
python pyftpdlib || want="$want python3-pyftpdlib"
python OpenSSL || want="$want python3-openssl"
servers=
unpacked usr/sbin/vsftpd || have vsftpd || servers="$servers vsftpd"
unpacked usr/sbin/proftpd || have proftpd || servers="$servers proftpd-core"
[ -e "$deps/usr/lib/proftpd/mod_tls.so" ] || [ -e /usr/lib/proftpd/mod_tls.so ] || servers="$servers proftpd-mod-crypto"
unpacked usr/sbin/pure-ftpd || have pure-ftpd || servers="$servers pure-ftpd"
unpacked usr/bin/pure-pw || have pure-pw || servers="$servers pure-ftpd-common"

if [ "$(id -u)" != 0 ] || ! have apt-get || ! have dpkg-deb; then
	[ -e "$pam" ] || servers="$servers pam-file"
	[ -z "$want$servers" ] && exit 0
	echo "test/deps.sh: not root on Debian, so nothing was installed. Tests that need these are skipped by name:"
	[ -z "$want" ] || echo "  install (Debian names):$want"
	for s in $servers; do
		case $s in
		pam-file) echo "  for vsftpd: as root, sh test/deps.sh writes $pam" ;;
		*) echo "  server: $s (in PATH, or unpacked below .deps/)" ;;
		esac
	done
	exit 0
fi

updated=
apt_get() {
	if [ -z "$updated" ]; then
		apt-get update -qq
		updated=1
	fi
	DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@"
}

if [ -n "$want" ]; then
	echo "test/deps.sh: installing$want"
	# shellcheck disable=SC2086
	apt_get install -y --no-install-recommends $want >"$deps/apt.log" 2>&1 || {
		cat "$deps/apt.log" >&2
		exit 1
	}
fi

if [ -n "$servers" ]; then
	echo "test/deps.sh: unpacking$servers into .deps/"
	work=$(mktemp -d "$deps/download.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	# shellcheck disable=SC2086
	(cd "$work" && apt_get -o APT::Sandbox::User=root download $servers)
	libs=
	for deb in "$work"/*.deb; do
		libs="$libs $(dpkg-deb -f "$deb" Depends | tr ',' '\n' | sed 's/|.*//' | awk '$1 ~ /^lib/ { print $1 }' | tr '\n' ' ')"
	done
	# shellcheck disable=SC2086
	apt_get install -y --no-install-recommends $libs >"$deps/apt.log" 2>&1 || {
		cat "$deps/apt.log" >&2
		exit 1
	}
	for deb in "$work"/*.deb; do
		dpkg-deb -x "$deb" "$work/root"
	done
	cp -a "$work/root/." "$deps/"
fi

# vsftpd checks passwords with PAM only. This service knows one login, and is
# used by no program but a vsftpd that names it in its own configuration, as
# test/servers does. (pam_exec would deadlock: vsftpd waits for its child.)
write() {
	if ! [ -e "$1" ] || [ "$(cat "$1")" != "$2" ]; then
		printf '%s\n' "$2" >"$1"
	fi
}
write /etc/ftpfs-test.passwd 'tester:$6$ftpfs$6BP4nZ8QW45Nir0j6qtw9079dAoVINMBvwcuufe5LbgoItOgUuIrhsGJwvQr8DqBeEgEApWJi6fHlP9PVVwGc1'
write "$pam" '# Written by the test suite of ftpfs (test/deps.sh), for its own vsftpd on loopback.
auth required pam_pwdfile.so pwdfile=/etc/ftpfs-test.passwd
account required pam_permit.so'
