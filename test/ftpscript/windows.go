package ftpscript

import (
	"path"
	"strings"
	"unicode/utf8"
)

// Names as Microsoft's "Naming Files, Paths, and Namespaces" has them: cases are kept
// and not told apart, a backslash separates as a slash does, dots and blanks at the end
// of a name are cut off without a word, and some characters and names there cannot be.

// windowsPath is what Windows understands by a path.
func windowsPath(p string) string {
	parts := strings.Split(strings.ReplaceAll(p, `\`, "/"), "/")
	for i, part := range parts {
		if part != "." && part != ".." {
			parts[i] = strings.TrimRight(part, ". ")
		}
	}
	return strings.Join(parts, "/")
}

// windowsName says whether each name in a path can be.
func windowsName(p string) bool {
	if !utf8.ValidString(p) || strings.ContainsAny(p, `<>:"|?*`) || strings.ContainsFunc(p, func(r rune) bool { return r < ' ' }) {
		return false
	}
	for ; len(p) > 1; p = path.Dir(p) {
		stem, _, _ := strings.Cut(path.Base(p), ".")
		switch stem = strings.ToUpper(strings.TrimRight(stem, " ")); {
		case stem == "CON" || stem == "PRN" || stem == "AUX" || stem == "NUL":
			return false
		case len(stem) == 4 && (stem[:3] == "COM" || stem[:3] == "LPT") && stem[3] >= '1' && stem[3] <= '9':
			return false
		}
	}
	return true
}

// decode is what the server understands by the bytes of a name.
func (c *session) decode(s string) string {
	if !c.srv.opts.Latin1 || c.utf8 {
		return s
	}
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

// encode is the inverse of decode; what ISO 8859-1 has not is a question mark.
func (c *session) encode(s string) string {
	if !c.srv.opts.Latin1 || c.utf8 {
		return s
	}
	var b []byte
	for _, r := range s {
		if r > 0xff {
			r = '?'
		}
		b = append(b, byte(r))
	}
	return string(b)
}
