# One pyftpdlib server: host, port, root, user, password, most clients, uid, and
# further statements about `handler` and `server`.
import os
import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import ActiveDTP, FTPHandler
from pyftpdlib.servers import FTPServer

host, port, root, user, password, clients, uid = sys.argv[1:8]

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


class handler(FTPHandler):
    active_dtp = activeDTP


handler.authorizer = authorizer
handler.auth_failed_timeout = 0.1

server = FTPServer((host, int(port)), handler)
server.max_cons = int(clients) + 1  # it counts the socket it listens on
server.max_cons_per_ip = 0
for statement in sys.argv[8:]:
    exec(statement)
server.serve_forever()
