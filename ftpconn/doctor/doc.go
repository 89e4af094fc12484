// Package doctor finds out what an FTP server can do, as a mount of it would meet it: it
// logs in by ftpconn, tries each thing in a scratch directory, and returns a Report that
// says of each what works, what does not, what was sent, what came back, and what to try.
// It prints nothing and decides nothing for the mount; what ftpconn learns on the way
// stays with the Store that it was given.
//
// Promises: nothing is changed on the server but the scratch directory, which has a name
// of its own and is removed however the run ends; what could not be removed is named in
// the report. With ReadOnly none is made. Each probe is bounded in time, and so is the
// whole. A probe that fails or loses its connection does not end the others. One
// connection is used at a time, but for the count of those allowed, which asks for no
// more than the mount would. A password is in no report.
//
//	doctor.go    the order of things, and their bounds
//	report.go    what is returned
//	watch.go     what was said, for findings that need words
//	scratch.go   the scratch directory, and its end
//	the others   probes, by what they ask
package doctor
