package sitedb

import (
	"io"
	"io/fs"
	"log/slog"
	"path"
	"strings"
	"time"
)

// memoryFile is a file of dialectFS after its macros were replaced.
type memoryFile struct {
	*strings.Reader
	name string
}

func newMemoryFile(name, text string) fs.File {
	return memoryFile{Reader: strings.NewReader(text), name: path.Base(name)}
}

func (f memoryFile) Stat() (fs.FileInfo, error) { return f, nil }
func (f memoryFile) Close() error               { return nil }
func (f memoryFile) Name() string               { return f.name }
func (f memoryFile) Mode() fs.FileMode          { return 0o444 }
func (f memoryFile) ModTime() time.Time         { return time.Time{} }
func (f memoryFile) IsDir() bool                { return false }
func (f memoryFile) Sys() any                   { return nil }

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }
