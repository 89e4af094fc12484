package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"

	ftpserver "github.com/fclairamb/ftpserverlib"
	"github.com/spf13/afero"
)

const (
	user     = "demo"
	password = "demo"
)

// server is an FTP server on a free port of the loopback interface.
type server struct {
	addr string
	ftp  *ftpserver.FtpServer
	done chan error // what Serve returned
}

func startServer(root string) (*server, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	files := disk{afero.NewBasePathFs(afero.NewOsFs(), root)}
	s := &server{addr: l.Addr().String(), ftp: ftpserver.NewFtpServer(driver{l, files}), done: make(chan error, 1)}
	if err := s.ftp.Listen(); err != nil {
		return nil, err
	}
	go func() { s.done <- s.ftp.Serve() }()
	return s, nil
}

func (s *server) stop() error {
	err := s.ftp.Stop()
	if served := <-s.done; !errors.Is(served, net.ErrClosed) {
		err = errors.Join(err, served)
	}
	if err != nil {
		return fmt.Errorf("stop the server: %w", err)
	}
	return nil
}

// driver tells the library whom to let in, and to what.
type driver struct {
	listener net.Listener
	files    disk
}

func (d driver) GetSettings() (*ftpserver.Settings, error) {
	return &ftpserver.Settings{Listener: d.listener, Banner: "ftpfs demo"}, nil
}

func (d driver) ClientConnected(ftpserver.ClientContext) (string, error) { return "Welcome.", nil }

func (d driver) ClientDisconnected(ftpserver.ClientContext) {}

func (d driver) AuthUser(_ ftpserver.ClientContext, name, pass string) (ftpserver.ClientDriver, error) {
	if name != user || pass != password {
		return nil, errors.New("wrong user or password")
	}
	return d.files, nil
}

func (d driver) GetTLSConfig() (*tls.Config, error) { return nil, errors.New("no TLS in the demo") }

// disk keeps DELE from removing directories and RMD from removing files, which
// the library would otherwise let them.
type disk struct{ afero.Fs }

func (d disk) Remove(name string) error {
	info, err := d.Stat(name)
	if err == nil && info.IsDir() {
		return &fs.PathError{Op: "remove", Path: name, Err: syscall.EISDIR}
	}
	return d.Fs.Remove(name)
}

func (d disk) RemoveDir(name string) error {
	info, err := d.Stat(name)
	if err == nil && !info.IsDir() {
		return &fs.PathError{Op: "rmdir", Path: name, Err: syscall.ENOTDIR}
	}
	return d.Fs.Remove(name)
}
