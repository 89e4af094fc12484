# One pyftpdlib server: host, port, root, user, password, most clients, uid, and
# further statements about `handler` and `server`.
import os
import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

host, port, root, user, password, clients, uid = sys.argv[1:8]

if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(int(uid))
    os.setuid(int(uid))
os.umask(0o022)

authorizer = DummyAuthorizer()
authorizer.add_user(user, password, root, perm="elradfmwMT")


class handler(FTPHandler):
    pass


handler.authorizer = authorizer
handler.auth_failed_timeout = 0.1

server = FTPServer((host, int(port)), handler)
server.max_cons = int(clients)
server.max_cons_per_ip = 0
for statement in sys.argv[8:]:
    exec(statement)
server.serve_forever()
