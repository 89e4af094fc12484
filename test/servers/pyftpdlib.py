# One pyftpdlib server: host, port, root, user, password, most clients, uid, files of
# certificate and key (or nothing), "implicit" or "required" or nothing, and
# further statements about `handler` and `server`.
import os
import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import ActiveDTP, FTPHandler, TLS_FTPHandler
from pyftpdlib.servers import FTPServer

host, port, root, user, password, clients, uid, cert, key, how = sys.argv[1:11]

if cert:
    # Read while we may.
    TLS_FTPHandler.certfile, TLS_FTPHandler.keyfile = cert, key
    TLS_FTPHandler.get_ssl_context()

if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(int(uid))
    os.setuid(int(uid))
os.umask(0o022)

authorizer = DummyAuthorizer()
authorizer.add_user(user, password, root, perm="elradfmwMT")


class activeDTP(ActiveDTP):
    """Active mode as it is meant. In 1.5.7 a connector that has handed over its
    socket keeps the descriptor's number, and takes it out of the event loop at
    the next EPRT, when it may be another session's: that one's transfer then
    stalls for ever. No client can avoid it but by using one connection."""

    def handle_connect(self):
        ActiveDTP.handle_connect(self)
        if not self._closed:
            self._fileno = None


class handler(TLS_FTPHandler if cert else FTPHandler):
    active_dtp = activeDTP
    tls_control_required = tls_data_required = how == "required"

    def handle(self):
        if how == "implicit":
            self.secure_connection(self.ssl_context)
        else:
            super().handle()

    def handle_ssl_established(self):
        if how == "implicit":
            super().handle()


handler.authorizer = authorizer
handler.auth_failed_timeout = 0.1

server = FTPServer((host, int(port)), handler)
server.max_cons = int(clients) + 1  # it counts the socket it listens on
server.max_cons_per_ip = 0
for statement in sys.argv[11:]:
    exec(statement)
server.serve_forever()
