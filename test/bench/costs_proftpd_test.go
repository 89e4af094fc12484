package bench

// onProFTPD is what the workloads send to ProFTPD. The first lookup of a name asks for it by MLST, and
// in the same segment for the same name in another case. A download asks, with its RETR, for MLST and
// SIZE, and once more at its end if it is no short one. An upload is compared by HASH, has its
// time by MFMT and its mode by MFF, in the segment that asks about both names (MLST, SIZE). Two
// uploads that are the first together both find out what the server stands.
var onProFTPD = map[string]string{
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
	// OPTS says to each connection which hash is meant. MFMT and SIZE are bounds: not every upload needs them.
	"cp -r in of small files":           "CWD 2-4 HASH 40 MFF 40 MFMT 1-41 MKD 5 MLSD 1 MLST 126-130 OPTS 1-8 RNFR 40 RNTO 40 SIZE 42-90 STOR 40 login 0-7",
	"rsync -a of unchanged small files": "login 0",
	"rm -r of small files":              "CWD 5 DELE 40 MLSD 5 MLST 2 RMD 5 login 0-7",
}
