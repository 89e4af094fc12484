package ftpconn

import (
	"strings"

	"ftpfs/ftpconn/wire"
)

// wanted are the facts of MLSD and MLST that are of use. Servers list others by themselves, owners, groups and
// permissions, which make half of each line. ProFTPD's lines of 100 files are longer with them than what a
// server may send before it hears from us (ten segments, RFC 6928), so that a listing of so many takes a round trip more.
var wanted = []string{"type", "size", "modify", "unique", "unix.mode"}

// onlyWanted asks for these and no others. It goes in the segment of the login, before anything is known of the
// server: RFC 3659 (7.9) has it leave out what it does not know, and one that has no MLST refuses.
var onlyWanted = optsMLST(wanted)

// mayHaveMLST says that the server that greets so is not known to have no MLST, by what it told another session. If it has
// been given one since, without a word in its greeting, wantFacts asks.
func (s *Store) mayHaveMLST(greeting wire.Reply) bool {
	k := s.server.known()
	return !k.seen || k.has("MLST") || lasting(k.greeting) != lasting(greeting.Text())
}

func optsMLST(facts []string) string { return "OPTS MLST " + strings.Join(facts, ";") + ";" }

// wantFacts sees to it that the server tells the facts that it knows, where it does not by now: it refused to be asked
// for one it does not know, or did not know one that is spelled otherwise.
func (ss *session) wantFacts(feats map[string]string) error {
	mlst, has := feats["MLST"]
	if !has {
		return nil
	}
	r, err := ss.wire.KnownOr(onlyWanted)
	if err != nil {
		return err
	}
	_, told, listed := strings.Cut(r.Text(), "MLST OPTS")
	on := make(map[string]bool)
	for f := range strings.SplitSeq(told, ";") {
		on[strings.ToLower(strings.TrimSpace(f))] = true
	}
	var have []string
	missing := false
	for f := range strings.SplitSeq(mlst, ";") {
		name, byItself := strings.CutSuffix(strings.TrimSpace(f), "*")
		for _, w := range wanted {
			if strings.EqualFold(name, w) {
				have = append(have, name)
				missing = missing || r.OK() && listed && !on[w] || !r.OK() && !byItself
			}
		}
	}
	if !missing {
		return nil
	}
	_, err = ss.wire.Cmd(optsMLST(have))
	return err
}
