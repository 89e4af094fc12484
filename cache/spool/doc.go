// Package spool is the mail queue of what is owed to the server: a directory with
// one record and one data file for each owed file, written so that neither a
// killed daemon nor a power cut loses what was promised. It owns the files below
// its directory, the sequence numbers, and the question of what may be believed at
// start. It knows nothing of the network, of mounts or of when to upload; the
// fields of a Record beyond those named in load.go and put.go are only carried.
//
//	lock                 flock of the one daemon, with its pid and mountpoint
//	id                   format version, and the server, user and path it serves
//	synced, synced.2     which sequence numbers are known to be on disk (mark.go)
//	rec/N.json           record of file N, checksum inside, and earlier ones (slots.go)
//	rec/N.tmp            what will replace N.json
//	rec/N.gone           N was dropped; its data is about to go (drop.go)
//	data/N               content of file N, sparse
//	intent/SEQ.json      a rename on the server, recorded before it is sent
//	quarantine/          what could not be believed: record, data, and a note saying why
//	spare/               files of former records, for new ones (spare.go)
//	discarded/           what a person threw away, kept
//
// # What survives
//
// When Put has returned, a killed daemon loses nothing. When Sync has returned, a
// power cut loses nothing of the record and the data as they were. Between, the
// group sync bounds the loss to about a second. Load never deletes content that
// may be owed and never fails over one bad file: what it cannot believe goes into
// quarantine.
//
// # What the owner of a record must do
//
// Data is written, and a file that grows by a hole is extended, before the Put that
// claims it in Have. Before held bytes are
// overwritten after a Put with Open false, the record is put with Open true, and
// before held bytes are cut off or punched out it is put without them: a record on
// disk never claims what its data file may no longer hold. One goroutine at a
// time works on one id; different ids may be worked on side by side.
//
// # Locks
//
// An id's stripe is taken first, then syncing, then marking, then mu. Disk work is
// done under the first three, never under mu.
package spool
