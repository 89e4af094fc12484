package remote

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"hash/crc32"
)

// Checksum is what a server says of a file's content.
type Checksum struct {
	Algorithm string // "SHA-256", "SHA-512", "SHA-1", "MD5" or "CRC32"
	Sum       []byte
}

// Hash returns a fresh hash of the same kind, nil for an algorithm not known here.
func (c Checksum) Hash() hash.Hash {
	switch c.Algorithm {
	case "SHA-256":
		return sha256.New()
	case "SHA-512":
		return sha512.New()
	case "SHA-1":
		return sha1.New()
	case "MD5":
		return md5.New()
	case "CRC32":
		return crc32.NewIEEE()
	}
	return nil
}
