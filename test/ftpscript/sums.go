package ftpscript

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"hash/crc32"
	"slices"
	"strings"
)

// sums are the commands for checksums, and what each computes by itself.
var sums = map[string]string{"HASH": "SHA-1", "XCRC": "CRC32", "XMD5": "MD5", "XSHA": "SHA-1", "XSHA1": "SHA-1", "XSHA256": "SHA-256", "XSHA512": "SHA-512"}

var algorithms = map[string]func() hash.Hash{"CRC32": func() hash.Hash { return crc32.NewIEEE() }, "MD5": md5.New,
	"SHA-1": sha1.New, "SHA-256": sha256.New, "SHA-512": sha512.New}

// opts chooses the algorithm of HASH, and how names are written; all else is fine.
func (c *session) opts(arg string, _ Command) string {
	word, algorithm, _ := strings.Cut(arg, " ")
	if strings.EqualFold(word, "UTF8") {
		c.utf8 = strings.EqualFold(algorithm, "ON")
	}
	if !strings.EqualFold(word, "HASH") {
		return "200 Fine."
	}
	if algorithms[strings.ToUpper(algorithm)] == nil {
		return "501 Unknown algorithm."
	}
	c.hash = strings.ToUpper(algorithm)
	return "200 " + c.hash
}

// sum replies as draft-bryan-ftpext-hash has it for HASH, and as servers commonly do
// for the others.
func (c *session) sum(_ string, cmd Command) string {
	if !slices.Contains(c.srv.opts.Sums, cmd.Verb) {
		return "500 Unknown command."
	}
	data, ok := c.srv.Tree.Get(cmd.Path)
	if !ok {
		return "550 No such file."
	}
	algorithm := sums[cmd.Verb]
	if cmd.Verb == "HASH" && c.hash != "" {
		algorithm = c.hash
	}
	h := algorithms[algorithm]()
	h.Write(data)
	if cmd.Verb == "HASH" {
		return fmt.Sprintf("213 %s 0-%d %x %s", algorithm, len(data), h.Sum(nil), cmd.Path)
	}
	return fmt.Sprintf("250 %X", h.Sum(nil))
}
