package spool

import (
	"io/fs"
	"os"
	"path/filepath"
)

// Count is how many files and directories have a record in the spool in dir, told by
// their names alone: it reads none, however many there are.
func Count(dir string) (owed int, err error) {
	names, err := readNames(filepath.Join(dir, "rec"))
	for _, name := range names {
		if _, ext, ok := number(name); ok && ext == ".json" {
			owed++
		}
	}
	return owed, err
}

// Peek counts what the spool in dir owes, without locking or changing it: files
// and directories with a record, and how many of them are parked, as those are that
// a writer had open when its daemon died. bytes is what will be sent: the sizes of
// those that are not parked. What cannot be read counts as owed with 0 bytes, and a
// spool in use is seen as it passes. It fails when dir cannot be read;
// fs.ErrNotExist: there is no spool.
func Peek(dir string) (owed int, bytes int64, parked int, err error) {
	names, err := readNames(filepath.Join(dir, "rec"))
	if err != nil {
		return 0, 0, 0, err
	}
	for _, name := range names {
		id, ext, ok := number(name)
		if !ok || ext != ".json" {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, "rec", name))
		if os.IsNotExist(err) { // settled meanwhile
			continue
		}
		owed++
		if err != nil {
			continue
		}
		if r, err := newestIn(b, id); err == nil {
			if r.Parked || r.Interrupted || r.Open {
				parked++
			} else if !r.Dir {
				bytes += r.Size
			}
		}
	}
	return owed, bytes, parked, nil
}

// Paths are the mount paths that the spool in dir has records of, as Peek sees them.
func Paths(dir string) (paths []string, err error) {
	names, err := readNames(filepath.Join(dir, "rec"))
	for _, name := range names {
		id, ext, ok := number(name)
		if !ok || ext != ".json" {
			continue
		}
		if b, err := os.ReadFile(filepath.Join(dir, "rec", name)); err == nil {
			if r, err := newestIn(b, id); err == nil {
				paths = append(paths, r.Path)
			}
		}
	}
	return paths, err
}

// readNames lists a directory of the spool; one that was not made yet is empty, if
// the spool's own directory is there.
func readNames(dir string) ([]string, error) {
	names, err := osFS{}.ReadDir(dir)
	if os.IsNotExist(err) {
		if fi, serr := os.Stat(filepath.Dir(dir)); serr != nil {
			return nil, serr
		} else if !fi.IsDir() {
			return nil, &fs.PathError{Op: "readdir", Path: dir, Err: fs.ErrInvalid}
		}
		return nil, nil
	}
	return names, err
}
