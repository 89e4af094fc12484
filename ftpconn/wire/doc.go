// Package wire is the transport beneath an FTP client: it owns every socket of
// one control connection and its data connections, parses each command and each
// reply, and sees to it that there is exactly one reply for each command.
//
// What it promises: every step has a deadline and ends with the caller's
// context; a connection that said something unexpected (a 421, stray bytes, a
// reply that is none, a REST nobody consumed) is condemned and takes no further
// command; CR, LF and NUL never leave; the memory a server can make us use is
// bounded. Commands that need not wait for each other share one segment where
// the server was shown to stand it, and are sent singly where not.
//
// With TLS (tls.go, tlsdata.go, sessions.go) nothing that was to be encrypted goes out in
// clear, and a download whose end TLS did not confirm is told from one that is whole.
//
// What it refuses to know: users, pools, paths, kinds of failures, what a
// listing means. It retries nothing: a first surprise in a dialogue of several
// commands is reported as Surprise, with the server's Traits corrected, so that
// the same operation can be done again on a new connection without the trick.
//
// A Conn is used by one goroutine at a time. Its mutex guards only the sockets
// that a context may interrupt; Traits and Sessions have their own, taken with none held
// but that of a cache of tickets.
package wire
