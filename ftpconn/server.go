package ftpconn

import (
	"regexp"
	"strings"
	"sync"

	"ftpfs/ftpconn/wire"
)

// server is what was learned about the server by all sessions.
type server struct {
	mu sync.Mutex
	facts
	zone    zone            // of LIST
	learned func()          // takes no lock but Store.mu; nil in tests
	long    map[string]long // directories whose listing was too long
}

// facts are a copy-out view of server.
type facts struct {
	seen     bool // a login succeeded
	base     string
	greeting string
	software string
	features map[string]string // by upper-case command
	mlst     bool              // MLST and MLSD, as advertised and not yet disproved
	mlsdBad  bool              // MLSD was refused though advertised
	listBare bool              // LIST takes no -a
	mlsdSelf bool              // MLSD names the directory itself
	listSelf bool              // and LIST -a does: a listing that is blank is then none
	dotless  bool              // LIST, as of ls, without a name that begins with a dot
	dots     bool              // such names were seen in LIST, or "." itself
	dayFirst bool              // dates in LIST have the day first, where the format leaves it open
	mdtm     bool              // MDTM told a time
	noMDTM   bool              // it is unknown there
	setTime  setTime
	noChmod  bool            // SITE CHMOD was refused as unknown
	append   wire.Trait      // Proven by a scratch file only
	noRest   bool            // downloads begin at the first byte only
	noSum    map[string]bool // commands for checksums that did not do
	sumRate  int64           // bytes a second it computes one at; 0: not known
	names    survey
	iac      wire.Trait // Proven: 255 twice is 255 once
	whole    bool       // it was seen not to cut our temporary names
	caseless wire.Trait // Proven: names that differ by case only are one
	noAvbl   bool
	noQuota  bool
	listed   int64
}

// setTime is the way a server's clock on a file is set.
type setTime uint8

const (
	setTimeUntried setTime = iota
	setTimeMFMT
	setTimeMDTM  // MDTM YYYYMMDDhhmmss path
	setTimeUTIME // SITE UTIME path atime mtime ctime UTC
	setTimeStamp // SITE UTIME YYYYMMDDhhmmss path
	setTimeNone
)

var setTimeNames = map[setTime]string{setTimeMFMT: "MFMT", setTimeMDTM: "MDTM", setTimeUTIME: "SITE UTIME", setTimeStamp: "SITE UTIME TIME PATH", setTimeNone: "none"}

func (v *server) known() facts {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.facts
}

// learn changes facts under the lock. What is worth remembering is told soon.
func (v *server) learn(f func(*facts)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f(&v.facts)
	if v.learned != nil {
		v.learned()
	}
}

func (f *facts) has(feature string) bool {
	_, ok := f.features[feature]
	return ok
}

var products = regexp.MustCompile(`(?i)vsftpd|proftpd|pure-ftpd|pyftpdlib|filezilla server|microsoft ftp service|serv-u|wu-[0-9.]+|glftpd|mikrotik|sftpgo|crushftp|titan ftp`)

// softwareOf names the product in a greeting (or in the reply to another
// greeting-like command), "" when it hides.
func softwareOf(texts ...string) string {
	for _, t := range texts {
		if m := products.FindString(t); m != "" {
			return m
		}
	}
	return ""
}

func (f *facts) is(product string) bool {
	return strings.EqualFold(f.software, product)
}

// checksTypes says that the server is known to refuse DELE on a directory and
// RMD on a file, as it should; on others we look first.
func (f *facts) checksTypes() bool {
	return f.is("vsftpd") || f.is("proftpd") || f.is("pure-ftpd") || f.is("pyftpdlib")
}
