package main

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"foyer/cmd/foyer/config"
)

// A backup may also be one file, to be carried elsewhere: the same directory as a tar.
// What is in it that can be packed is packed already.

// isArchive says whether a backup is wanted as a file.
func isArchive(name string) bool { return strings.HasSuffix(name, ".tar") }

// makeArchive makes a backup in a file.
func makeArchive(ctx context.Context, cfg *config.Config, file string, b *bar) (*manifest, error) {
	if _, err := os.Stat(file); err == nil {
		return nil, fmt.Errorf("%s is there already", file)
	}
	beside := filepath.Dir(file)
	turn, err := takeTurn(beside)
	if err != nil {
		return nil, err
	}
	defer turn.Close()
	if err := sweepUnfinished(beside); err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp(beside, unfinished)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	dir, m, err := makeBackup(ctx, cfg, tmp, b, nil)
	if err != nil {
		return nil, err
	}
	packed := filepath.Join(tmp, "tar")
	if err := pack(dir, packed); err != nil {
		return nil, err
	}
	if err := os.Rename(packed, file); err != nil {
		return nil, err
	}
	return m, syncDir(beside)
}

func pack(dir, file string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	defer f.Close()
	out := bufio.NewWriterSize(f, 1<<18)
	w := tar.NewWriter(out)
	return errors.Join(w.AddFS(os.DirFS(dir)), w.Close(), out.Flush(), f.Sync(), f.Close())
}

// unpack puts what is in a file made by pack into an empty directory.
func unpack(ctx context.Context, file, dir string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	r := tar.NewReader(bufio.NewReaderSize(f, 1<<18))
	for {
		h, err := r.Next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", file, err)
		case h.Typeflag == tar.TypeDir:
			continue
		case h.Typeflag != tar.TypeReg || !filepath.IsLocal(h.Name):
			return fmt.Errorf("%s: %q is nothing that a backup holds", file, h.Name)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := unpackFile(r, filepath.Join(dir, filepath.FromSlash(h.Name))); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
}

func unpackFile(from io.Reader, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, from)
	return errors.Join(err, out.Close())
}
