// Package bench measures whole workloads through a mount at the near end of a slow
// line, beside other programs that mount the same server over the same line in the
// same run.
//
//	make bench        the table of README, with rclone if it is in PATH
//	go test           each workload in small, without a peer
//
// Every run of a workload has a mount of its own with empty caches, on a tree that
// was made on the server's disk before. What is measured is a real program's wall
// time, and the daemon's greatest memory. Seconds mean little by themselves on a
// machine that does other work besides: compare them within one run, with the
// peer's and with the line's own limit, which is printed too. So nothing here fails
// for being slow; a workload fails if it does not do what it should.
//
// What does not hang on the machine is held to: the commands that each workload sends, by verb
// (TestCommandsOfWorkloads; a table for each server), the daemon's memory in each, and
// its memory with a million known files (TestMemoryOfKnownEntries; in make test a
// tenth of that).
//
// It knows programs by their command lines only, and holds no locks.
package bench
