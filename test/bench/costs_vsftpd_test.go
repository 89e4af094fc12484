package bench

// onVSFTPD is what the workloads send to vsftpd. It has no MLST: the first lookup of a name lists its
// directory, here the root, which has two files. It has no MLSD: LIST tells times to the minute, and an
// MDTM for each file, many in a segment, to the second. A file is asked about by SIZE, MDTM and,
// where it could be a directory, CWD. An upload has its time by MDTM and its mode by SITE CHMOD.
// Two uploads that are the first together both find out what the server stands. The first login asks for the facts of MLST
// in vain, and no later one does: each has OPTS for UTF8 only.
var onVSFTPD = costs{login: map[string]int{"USER": 1, "PASS": 1, "FEAT": 1, "OPTS": 1, "TYPE": 1, "PWD": 1}, rows: map[string]string{
	"find over directories in a directory":       "CWD 7 LIST 7 MDTM 52 login 0-7",
	"the same with size and time of each":        "CWD 7 LIST 7 MDTM 52 login 0-7",
	"ls -l of one large directory":               "CWD 2 LIST 2 MDTM 302 login 0",
	"read a file":                                "CWD 2 LIST 1 MDTM 4 RETR 1 SIZE 2 login 0",
	"read it again":                              "login 0",
	"read it again, not from the kernel's pages": "login 0",
	"first 64 KiB of a large file":               "CWD 1 LIST 1 MDTM 3 RETR 1 SIZE 1 login 0",
	"head, tail, head of a large file":           "CWD 1-2 LIST 1 MDTM 4-5 REST 1 RETR 2 SIZE 2-3 login 0-2",
	"reads of 64 KiB at random in a large file":  "CWD 1-2 LIST 1 MDTM 6-7 REST 3 RETR 4 SIZE 4-5 login 0-2",
	"cp -r out of small files":                   "CWD 6 LIST 6 MDTM 82-85 RETR 40 SIZE 40-43 login 0-7",
	"grep -r over them":                          "CWD 6 LIST 6 MDTM 82-85 RETR 40 SIZE 40-43 login 0-7",
	"four readers, a quarter each":               "CWD 6 LIST 6 MDTM 82-85 RETR 40 SIZE 40-43 login 0-7",
	"cp of a file in, until it is on the server": "CWD 2 LIST 1 MDTM 7 RNFR 1 RNTO 1 SITE-CHMOD 1 SIZE 6 STOR 1 login 0",
	"cp -r in of small files":                    "CWD 2-4 LIST 1 MDTM 163-167 MKD 5 RNFR 40 RNTO 40 SITE-CHMOD 40 SIZE 123-127 STOR 40 login 0-7",
	"rsync -a of unchanged small files":          "login 0",
	"rm -r of small files":                       "CWD 6 DELE 40 LIST 6 MDTM 42 RMD 5 login 0-7",
}}
