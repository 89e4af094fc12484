package ftpconn

import (
	"testing"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/wire"
)

// What real servers say, and what it means.
func TestReplyTable(t *testing.T) {
	for _, c := range []struct {
		op   string
		code int
		text string
		want remote.Kind
	}{
		// vsftpd gives no reasons
		{"open", 550, "Failed to open file.", remote.Unknown},
		{"list", 550, "Failed to change directory.", remote.Unknown},
		{"mkdir", 550, "Create directory operation failed.", remote.Unknown},
		{"open", 550, "Permission denied.", remote.Permission},
		{"upload", 553, "Could not create file.", remote.BadName},
		// ProFTPD
		{"look", 550, "/x: No such file or directory", remote.NotExist},
		{"look", 550, "'/x' cannot be listed", remote.Unknown},
		{"open", 550, "/x: Not a regular file", remote.Unknown},
		{"mkdir", 550, "/x: File exists", remote.Exist},
		{"mkdir", 550, "/a*b: Invalid directory name", remote.BadName},
		{"rmdir", 550, "/x: Directory not empty", remote.NotEmpty},
		{"rmdir", 550, "/x: Not a directory", remote.NotDir},
		{"upload", 451, "/x: Append/Restart not permitted, try again", remote.Permission},
		{"login", 530, "Sorry, the maximum number of clients (1) from your host are already connected.", remote.Temporary},
		{"login", 530, "Login incorrect.", remote.Auth},
		// Pure-FTPd
		{"look", 550, "Can't check for file existence", remote.Unknown},
		{"upload", 553, "Prohibited file name: /a\\b", remote.BadName},
		{"upload", 552, "Disk full - please upload later", remote.NoSpace},
		{"rename", 550, "Rename/move failure: No such file or directory", remote.NotExist},
		{"login", 421, "50 users (the maximum) are already logged in, sorry", remote.Down},
		// pyftpdlib
		{"look", 550, "/x is not retrievable.", remote.Unknown},
		{"upload", 550, "Not enough privileges.", remote.Permission},
		{"list", 501, "No such directory.", remote.NotExist},
		{"mkdir", 550, "File exists.", remote.Exist},
		// others
		{"mkdir", 521, "/x taken", remote.Exist},
		{"open", 550, "The system cannot find the file specified.", remote.NotExist},
		{"open", 550, "Access is denied.", remote.Permission},
		{"mkdir", 550, "The filename, directory name, or volume label syntax is incorrect. ", remote.BadName},
		{"upload", 550, "The filename or extension is too long. ", remote.BadName},
		{"rmdir", 550, "The directory name is invalid. ", remote.NotDir},
		{"rename", 550, "Cannot create a file when that file already exists. ", remote.Exist},
		{"rename", 550, "The process cannot access the file because it is being used by another process. ", remote.Temporary},
		{"upload", 452, "Insufficient storage", remote.NoSpace},
		{"upload", 450, "File busy", remote.Unknown},
		{"upload", 426, "Connection closed; transfer aborted.", remote.Temporary},
		{"upload", 550, "File name too long", remote.BadName},
		{"chmod", 500, "'SITE CHMOD': command not understood", remote.Unsupported},
		{"chmod", 502, "CHMOD command not found", remote.Unsupported},
		{"chmod", 504, "Command not implemented for that parameter", remote.Unsupported},
		{"rename", 503, "Bad sequence of commands", remote.Protocol},
		{"login", 530, "Too many connections", remote.Temporary},
		{"login", 530, "Server is full, come back later", remote.Temporary},
		{"login", 450, "Too many users", remote.Temporary},
		{"login", 421, "Temporarily banned for too many failed login attempts", remote.Auth},
		{"login", 530, "Too many failed logins", remote.Auth},
		{"login", 530, "Maximum login attempts exceeded", remote.Auth},
		{"login", 332, "Need account", remote.Auth},
	} {
		if got := kindOf(c.op, wire.Reply{Code: c.code, Lines: []string{c.text}}); got != c.want {
			t.Errorf("%s: %d %s: got %v, want %v", c.op, c.code, c.text, got, c.want)
		}
	}
}

func TestQuotedPath(t *testing.T) {
	for in, want := range map[string]string{
		`"/home/x" is the current directory`: "/home/x",
		`"/a ""b"" c" is here`:               `/a "b" c`,
		`"/" ok`:                             "/",
		`/home is the current directory`:     "",
		`"home"`:                             "",
		`"/unfinished`:                       "",
	} {
		got, ok := quoted(wire.Reply{Code: 257, Lines: []string{in}})
		if ok != (want != "") || ok && got != want {
			t.Errorf("%s: got %q, %v", in, got, ok)
		}
	}
}
