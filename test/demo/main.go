// Command demo shows ftpfs at work: it starts an FTP server with a sample tree
// on loopback, mounts it with the real program, and runs everyday commands in
// the mount, each printed with what it says. It compares the outcome with the
// server's own directory, and exits with 0 only if all of it was as it should be.
//
// With a terminal it stops before the end, so that a person can look around.
// It leaves nothing mounted or running, also after Ctrl-C or a failure: it
// adopts the daemon (as a subreaper), so it knows its process id.
//
//	main.go    the story
//	stage.go   running commands, unmounting, ending what is left
//	server.go  the FTP server
//	sample.go  the trees
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"golang.org/x/term"
)

func main() {
	ftpfs := flag.String("ftpfs", "bin/ftpfs", "the program to show")
	stay := flag.Bool("stay", term.IsTerminal(int(os.Stdin.Fd())), "wait for Enter before the end")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := demo(ctx, *ftpfs, *stay); err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo: "+err.Error())
		os.Exit(1)
	}
	fmt.Println("\nEverything was as it should be; nothing is left mounted or running.")
}

// able tells why this machine cannot mount.
func able() error {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("FUSE is not available (%w): load the module fuse, or give the container /dev/fuse and CAP_SYS_ADMIN", err)
	}
	f.Close()
	if os.Geteuid() != 0 {
		if _, err := exec.LookPath("fusermount3"); err != nil {
			return errors.New("mounting needs root or fusermount3 (package fuse3)")
		}
	}
	return nil
}

func demo(ctx context.Context, program string, stay bool) (err error) {
	if err := able(); err != nil {
		return err
	}
	if program, err = filepath.Abs(program); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "ftpfs-demo.")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	root, local := filepath.Join(dir, "server"), filepath.Join(dir, "local")
	mnt := filepath.Join(dir, "mnt")
	if err := errors.Join(sampleTree(root), localTree(local), os.Mkdir(mnt, 0o755)); err != nil {
		return err
	}
	server, err := startServer(root)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.stop()) }()

	st, err := newStage(ctx, program, mnt)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.clear()) }()
	fmt.Printf("An FTP server on %s serves $D/server, where D=%s\n", server.addr, dir)

	st.env = []string{"FTPFS_PASSWORD=" + password, "D=" + dir}
	st.say("Mount it. The password is in $FTPFS_PASSWORD, not in the command line.")
	st.run("ftpfs -o cache_dir=$D/cache ftp://%s@%s/ $D/mnt", user, server.addr)
	st.mounted = st.err == nil
	st.say("Look around.")
	st.run("ls -l $D/mnt $D/mnt/site")
	st.run("cat $D/mnt/README.txt")
	st.run(`grep -r "needle" $D/mnt/src`)
	st.say("Copy a tree in, change a file in place, append to another, rename.")
	st.run("cp -a $D/local $D/mnt/copied && ls -l $D/mnt/copied")
	st.run("sed -i 's/Hello/Good morning/' $D/mnt/site/index.html && cat $D/mnt/site/index.html")
	st.run("echo 'one more line' >>$D/mnt/logs/app.log && tail -n 2 $D/mnt/logs/app.log")
	st.run(`mv "$D/mnt/docs/Grüße & Notizen [1].txt" $D/mnt/docs/greetings.txt && ls $D/mnt/docs`)
	st.run("rm -r $D/mnt/photos && ls $D/mnt")
	st.say("What is on its way to the server? And wait until all of it is there.")
	st.run("ftpfs status $D/mnt")
	st.run("ftpfs sync $D/mnt")
	st.say("The server's own directory holds the same, byte for byte.")
	st.run("diff -r $D/server $D/mnt && diff -r $D/local $D/server/copied && echo no difference")
	st.check("edited file on the server", func() error { return contains(filepath.Join(root, "site/index.html"), "Good morning") })
	st.check("appended line on the server", func() error { return contains(filepath.Join(root, "logs/app.log"), "one more line\n") })
	st.check("renamed file on the server", func() error { return contains(filepath.Join(root, "docs/greetings.txt"), "Grüße") })
	st.check("removed directory on the server", func() error { return absent(filepath.Join(root, "photos")) })
	if stay && st.err == nil {
		pause(ctx, mnt, program)
		st.ctx = context.WithoutCancel(ctx) // Ctrl-C in the pause is only another Enter
	}
	st.say("Unmount.")
	st.run("ftpfs unmount $D/mnt && ls -A $D/mnt")
	st.mounted = st.mounted && st.err != nil
	return st.err
}

// pause lets the person look around until Enter or Ctrl-C.
func pause(ctx context.Context, mnt, program string) {
	fmt.Printf("\nIt is mounted at %s. Look around from another terminal, for instance with\n"+
		"    ls -l %s\n    %s status %s\nEnter ends the demo. ", mnt, mnt, program, mnt)
	entered := make(chan struct{})
	go func() {
		defer close(entered)
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	}()
	select {
	case <-entered:
	case <-ctx.Done():
	}
	fmt.Println()
}
