package bench

// onProFTPD is what the workloads send to ProFTPD. The first lookup of a name asks for it by MLST, and
// in the same segment for the same name in another case. A download asks, with its RETR, for MLST and
// SIZE, and once more at its end if it is no short one.
//
// An upload is compared by HASH, and both its names are asked about before the rename. Of a short one all that goes
// behind the upload, in its segment: MFF, which sets time and mode, MLST of both names and SIZE of the one that it is
// to get. Any other has a segment of its own for it, in which MFMT sets the time and MFF the mode, and SIZE is asked of
// both names. So do the first short ones, until the server is known to stand the other way, and those on a
// connection that has no data connection ready yet. Two uploads that are the first together both find out
// what the server stands.
//
// Each login has OPTS for UTF8 and for the facts of MLST.
var onProFTPD = costs{login: map[string]int{"USER": 1, "PASS": 1, "FEAT": 1, "OPTS": 2, "TYPE": 1, "PWD": 1}, rows: map[string]string{
	"find over directories in a directory":       "CWD 6 MLSD 6 MLST 2 login 0-7",
	"the same with size and time of each":        "CWD 6 MLSD 6 MLST 2 login 0-7",
	"ls -l of one large directory":               "CWD 1 MLSD 1 MLST 2 login 0",
	"read a file":                                "MLST 4 RETR 1 SIZE 1 login 0",
	"read it again":                              "login 0",
	"read it again, not from the kernel's pages": "login 0",
	"first 64 KiB of a large file":               "MLST 3 RETR 1 SIZE 1 login 0",
	"head, tail, head of a large file":           "MLST 4 REST 1 RETR 2 SIZE 2 login 0-2", // the head's transfer stands, with the tail's beside it
	"reads of 64 KiB at random in a large file":  "MLST 6 REST 3 RETR 4 SIZE 4 login 0-2", // one of the five lies ahead of a transfer that stands
	"cp -r out of small files":                   "CWD 5 MLSD 5 MLST 42-45 RETR 40 SIZE 40 login 0-7",
	"grep -r over them":                          "CWD 5 MLSD 5 MLST 42-45 RETR 40 SIZE 40 login 0-7",
	"four readers, a quarter each":               "CWD 5 MLSD 5 MLST 42-46 RETR 40 SIZE 40 login 0-7",
	"cp of a file in, until it is on the server": "CWD 2 HASH 1 MFF 1 MFMT 2 MLSD 1 MLST 8 OPTS 1 RNFR 1 RNTO 1 SIZE 5 STOR 1 login 0",
	// OPTS says to each connection which hash is meant. MFMT is of the uploads that do not go the short way, one at the least and
	// at most the first three of each of eight connections. SIZE is 40, one more for each of these, and two or
	// so to find out what becomes of a name.
	"cp -r in of small files":           "CWD 2-4 HASH 40 MFF 40 MFMT 1-24 MKD 5 MLSD 1 MLST 126-130 OPTS 1-8 RNFR 40 RNTO 40 SIZE 43-70 STOR 40 login 0-7",
	"rsync -a of unchanged small files": "login 0",
	"rm -r of small files":              "CWD 5 DELE 40 MLSD 5 MLST 2 RMD 5 login 0-7",
}}
