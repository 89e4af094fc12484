package main

const usage = `ftpfs mounts an FTP server at a directory.

  ftpfs [-f] [-o OPTION[,OPTION...]] URL MOUNTPOINT   mount; returns when usable
  ftpfs status [--json] [MOUNTPOINT]            cached, owed, parked, connected
  ftpfs sync [--timeout TIME] [MOUNTPOINT|FILE] wait until all is on the server
  ftpfs unmount [--timeout TIME] MOUNTPOINT     send what is owed, then unmount
  ftpfs retry [MOUNTPOINT|PATH...]              send parked files again
  ftpfs discard MOUNTPOINT|PATH...              give them up; a copy is kept
  ftpfs doctor [--json] [--read-only] [-o OPTION...] URL   what can this server
                                                do, and how is it mounted?
  ftpfs version

URL is ftp://[user@]host[:port][/path], host[:port][/path] or user@host:path;
ftpes:// is FTP with TLS (AUTH TLS), ftps:// with TLS from the start (port 990).
/path is below the login directory; //path is absolute. Passwords come from
credentials=FILE, $FTPFS_PASSWORD, systemd's credentials, ~/.netrc, or a prompt.

  -f  stay in the foreground, log to stderr     -d  the same, log_level=debug
  -o  options:
    credentials=FILE        lines username=... and password=..., chmod 600
    user=NAME, port=PORT    also in the URL
    tls=HOW                 off, try, explicit (ftpes://), implicit (ftps://);
                            also ssl, ssl_try, and ssl_control with clear_data
    cacert=FILE             believe only who is in it, not the system's signers
    pin_sha256=PIN          believe this one; an error line shows the PIN
    no_verify_hostname, no_verify_peer    believe others: better pin_sha256
    cert=FILE, key=FILE     certificate of ours, for servers that ask
    clear_data              encrypt commands only (PROT C)
    disable_tls13           TLS 1.2 at most
    active                  the server connects to us for data
    active_address=ADDRESS  that the server is told to connect to: our own
    active_ports=LOW-HIGH   that it may connect to: any
    proxy=URL               socks5://[USER:PASSWORD@]HOST[:PORT] or http://...;
                            none: not that of $ALL_PROXY
    proxy_user, socks5, httpproxy, socks_proxy, http_proxy    as elsewhere
    max_conns=N             connections at most: 8
    bwlimit=RATE, UP:DOWN   bytes a second for the content of files: off
    timeout=SECONDS         of network silence until the server is down: 30
    dir_cache_time=SECONDS  how old a listing may get before it is checked: 10
    cache_dir=DIR           keep cache and spool there
    cache_size=SIZE         of files read, on disk: 10G or half of what is free
    spool_size=SIZE         of files owed, on disk: 10G or 3/4 of what is free
    quota=SIZE              of the server, for df, where it tells none
    max_dirty_age=SECONDS   of an open file, until sent as it stands: 5m; never
    sync_close              close waits until the file is on the server
    fsync=local|server      where fsync makes durable: local
    ro                      read-only
    allow_other             other users may enter, too; file modes are checked
    uid=UID, gid=GID        owner shown: whoever mounts
    umask=OCTAL             taken off the modes shown
    nonempty                mount over a directory with something in it
    nofail                  mount although the server is down
    fsname=NAME             shown in the mount table instead of the URL
    codepage=NAME           of the server's names: utf8; iocharset=utf8 is ours
    timezone=auto|+HH:MM    of times in LIST: auto
    log_level=LEVEL         debug, info, warn, error: info
    metrics=ADDRESS:PORT    tell Prometheus at http://ADDRESS:PORT/metrics
    trace_ftp               log the dialogue with the server, without passwords
  and mount(8)'s own words: noexec, noatime, _netdev, noauto, user, x-systemd...

sync and unmount exit 0 when all is on the server, 3 when something is still
owed, 4 when something is parked: refused by the server, or cut off by a crash
while it was being written, and kept here; see ftpfs status. mount exits
1 for bad usage, 2 for trouble on this machine, 32 when mounting failed.
`
