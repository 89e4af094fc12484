package fs

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"

	"golang.org/x/sys/unix"
)

// openerMain opens a file or directory in a thread whose number it tells first, and
// then tells what came of it. Signals are handled, with SA_RESTART as Go does.
func openerMain() int {
	runtime.LockOSThread()
	caught := make(chan os.Signal, 10)
	signal.Notify(caught, unix.SIGINT, unix.SIGALRM)
	fmt.Println("thread", unix.Gettid())
	fd, err := unix.Open(os.Getenv("FTPFS_FS_TEST_PATH"), unix.O_RDONLY, 0)
	if err != nil {
		fmt.Println("opened:", err)
		return 0
	}
	unix.Close(fd)
	fmt.Println("opened: ok")
	return 0
}
