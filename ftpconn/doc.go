// Package ftpconn is a remote.Store on an FTP server. It owns the pool of
// logged-in connections, what was learned about the server, the one table that
// turns replies into kinds of failure, and the knowledge of how each operation
// is spelled on servers that differ. The sockets and the dialogue belong to
// ftpconn/wire, the lines of listings to ftpconn/listing, and the commands of
// RFC 959 to the client library, which only session.go and login.go touch.
//
// It refuses to know caches, spools, kernels and mounts: paths are the mount's,
// names are bytes, and what to do about a failure is decided by its kind
// elsewhere.
//
// Promises: an operation ends with its context or by the network timeout; only a
// server's confirmed word is NotExist; a listing is whole or an error; a
// connection that saw anything odd is never used again; nothing runs after
// Close. An operation holds one connection at a time and never waits for a
// second, so that any number of connections, one included, is enough.
//
// Locks: a reader's mutex is held during its own network reads and is taken
// first; then pool.mu; then the leaves health.mu, server.mu, Store.mu and that of
// the set of readers. All but the reader's are held for bookkeeping, never across
// the network.
package ftpconn
