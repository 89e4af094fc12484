package spool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

func (s *Spool) intent(seq uint64) string {
	return s.path("intent", strconv.FormatUint(seq, 10)+".json")
}

// PutIntent records a rename that is about to be sent, and sets in.Seq. When it
// returns nil, a power cut does not lose it.
func (s *Spool) PutIntent(in *Intent) error {
	defer s.lockID(0)()
	seq, err := s.begin()
	if err == nil {
		defer s.end(seq)
		var b []byte
		if b, err = encodeIntent(in, seq); err == nil {
			err = writeAtomic(s.fs, s.path("intent"), s.intent(seq), b)
		}
	}
	if err != nil {
		return fmt.Errorf("spool: record the renaming of %q: %w", in.From, err)
	}
	in.Seq = seq
	return nil
}

// DropIntent forgets a rename that was settled. After a power cut it may be back.
func (s *Spool) DropIntent(seq uint64) error {
	defer s.lockID(0)()
	if err := s.usable(); err != nil {
		return err
	}
	if err := s.removeAny(s.intent(seq)); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	return nil
}

// loadIntents reads the intents of earlier runs, in order.
func (s *Spool) loadIntents(ctx context.Context) ([]Intent, error) {
	names, err := s.fs.ReadDir(s.path("intent"))
	if err != nil {
		return nil, err
	}
	var out []Intent
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		seq, ext, ok := number(name)
		if !ok || seq > s.old {
			continue
		}
		path := s.path("intent", name)
		if strings.HasSuffix(ext, ".tmp") { // its rename was never sent
			if err := s.removeAny(path); err != nil {
				s.log.Warn("cannot remove a leftover", "err", err)
			}
			continue
		}
		b, err := s.fs.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if transient(err) {
			return nil, err
		}
		var in Intent
		if err == nil {
			in, err = decodeIntent(b, seq)
		}
		if err != nil {
			_ = s.quarantine("intent-"+strconv.FormatUint(seq, 10), "", fmt.Errorf("the record of a rename cannot be read: %w", err), []part{{path: path, ext: ".json"}})
			continue // quarantine logged a failure of its own
		}
		out = append(out, in)
	}
	slices.SortFunc(out, func(a, b Intent) int { return int(int64(a.Seq) - int64(b.Seq)) })
	return out, nil
}
