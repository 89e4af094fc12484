package target

import "strings"

// Secret finds a password inside one command-line argument: in a URL or bare
// host (user:password@…), that of a proxy too, in curlftpfs' user=name:password and
// proxy_user=, in password=… and its kin within a list of options. It returns the spans of bytes to blank,
// in order. It errs towards blanking: it runs before anything is parsed.
func Secret(arg string) [][2]int {
	var spans [][2]int
	at := 0
	for _, part := range splitList(arg) {
		if from, to, ok := secretIn(part); ok && to > from {
			spans = append(spans, [2]int{at + from, at + to})
		}
		at += len(part) + 1
	}
	// A password in a URL may hold a comma, which cut the list above wrongly.
	if from, to, ok := urlSecret(arg); ok && to > from {
		spans = merge(spans, [2]int{from, to})
	}
	return spans
}

// merge adds a span to others that are in order and apart. Those it touches
// become one with it.
func merge(spans [][2]int, one [2]int) [][2]int {
	var before, after [][2]int
	for _, s := range spans {
		switch {
		case s[1] < one[0]:
			before = append(before, s)
		case s[0] > one[1]:
			after = append(after, s)
		default:
			one = [2]int{min(s[0], one[0]), max(s[1], one[1])}
		}
	}
	return append(append(before, one), after...)
}

// splitList cuts at commas that are not escaped, keeping the escapes, so that
// lengths add up.
func splitList(s string) []string {
	var parts []string
	from := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case ',':
			parts = append(parts, s[from:i])
			from = i + 1
		}
	}
	return append(parts, s[from:])
}

func secretIn(part string) (from, to int, ok bool) {
	key, value, found := strings.Cut(part, "=")
	if !found {
		return 0, 0, false
	}
	key = strings.TrimLeft(key, "-")
	key = strings.ToLower(strings.TrimPrefix(key, "o")) // -opassword=…
	key = strings.ReplaceAll(key, "-", "_")
	start := len(part) - len(value)
	switch key {
	case "password", "pass", "passwd", "passw": // with or without the o of -o cut off
		return start, len(part), true
	case "proxy", "socks_proxy", "http_proxy":
		from, to, ok = urlSecret(value)
		return start + from, start + to, ok
	case "user", "username", "proxy_user":
		if i := strings.IndexByte(value, ':'); i >= 0 {
			return start + i + 1, len(part), true
		}
	}
	return 0, 0, false
}

// urlSecret finds user:password@ before the first slash that follows a scheme,
// or of the whole argument.
func urlSecret(s string) (from, to int, ok bool) {
	start := 0
	if i := strings.Index(s, "://"); i >= 0 && !strings.ContainsAny(s[:i], "@/=,") {
		start = i + 3
	} else if strings.HasPrefix(s, "ftpfs#") {
		start = len("ftpfs#")
	} else if strings.HasPrefix(s, "/") || strings.HasPrefix(s, "-") || strings.HasPrefix(s, "./") || strings.HasPrefix(s, "../") {
		return 0, 0, false // a path or an option, which Parse refuses
	}
	rest := s[start:]
	end := len(rest)
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		end = i
	}
	at := strings.LastIndexByte(rest[:end], '@')
	if at < 0 && start > 0 {
		// A raw slash inside the password: wrong, but still a secret.
		at = strings.LastIndexByte(rest, '@')
	}
	if at < 0 {
		return 0, 0, false
	}
	colon := strings.IndexByte(rest[:at], ':')
	if colon < 0 {
		return 0, 0, false
	}
	return start + colon + 1, start + at, true
}

// Redact returns s with its secrets replaced, for messages.
func Redact(s string) string {
	spans := Secret(s)
	for i := len(spans) - 1; i >= 0; i-- {
		s = s[:spans[i][0]] + "***" + s[spans[i][1]:]
	}
	return s
}
