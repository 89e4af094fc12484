package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// sampleTree fills the server's directory.
func sampleTree(root string) error {
	noise := rand.NewChaCha8([32]byte{1})
	files := map[string][]byte{
		"README.txt":                   []byte("This file lives on an FTP server.\n"),
		"site/index.html":              []byte("<html><body><h1>Hello from FTP</h1></body></html>\n"),
		"site/style.css":               []byte("h1 { color: teal }\n"),
		"docs/Grüße & Notizen [1].txt": []byte("Grüße aus einem Namen voller Fallen.\n"),
		"logs/app.log":                 bytes.Repeat([]byte("a line in a log\n"), 1000),
		"photos/a.jpg":                 bytesFrom(noise, 300<<10),
		"photos/b.jpg":                 bytesFrom(noise, 200<<10),
		"backup.img":                   bytesFrom(noise, 8<<20),
		"empty":                        nil,
	}
	for i := range 40 {
		text := fmt.Sprintf("package number%02d\n", i)
		if i == 23 {
			text += "// a needle in the haystack\n"
		}
		files[fmt.Sprintf("src/file%02d.go", i)] = []byte(text)
	}
	return write(root, files)
}

// localTree fills the directory that the demo copies to the server.
func localTree(dir string) error {
	noise := rand.NewChaCha8([32]byte{2})
	files := map[string][]byte{"notes.txt": []byte("Written on this machine.\n"), "video.bin": bytesFrom(noise, 2<<20)}
	for i := range 20 {
		files[fmt.Sprintf("reports/%d.txt", 2001+i)] = fmt.Appendf(nil, "report %d\n", i)
	}
	return write(dir, files)
}

func write(root string, files map[string][]byte) error {
	at := time.Date(2024, 5, 17, 10, 30, 0, 0, time.UTC)
	for name, data := range files {
		full := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(full, data, 0o644); err != nil {
			return err
		}
		if err := os.Chtimes(full, at, at); err != nil {
			return err
		}
	}
	return nil
}

func bytesFrom(r *rand.ChaCha8, n int) []byte {
	b := make([]byte, n)
	_, _ = r.Read(b)
	return b
}
