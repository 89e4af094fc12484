package ftpconn_test

import (
	"io"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/test/ftpscript"
)

// misdeed is a row of the fault matrix: what the server does in place of answering
// one command as it should.
type misdeed struct {
	name string
	rule ftpscript.Rule
	// stalls: it may cost whole timeouts.
	stalls bool
	// data: it is about the data connection, and so for transfers only.
	data bool
	// refuses: the answer is a plain refusal, which may be believed as far as it goes.
	refuses bool
	// harmless: the operation must succeed all the same.
	harmless bool
	// lies: the server says what is not so; a success may be believed.
	lies bool
	// kinds of errors that are right beside those.
	kinds []remote.Kind
}

// waits is 1 when waiting is most of it.
func (m misdeed) waits() int {
	if m.stalls {
		return 1
	}
	return 0
}

// broken are the kinds that a broken dialogue may have.
var broken = []remote.Kind{remote.Timeout, remote.Down, remote.Temporary, remote.Protocol, remote.ShortWrite}

// refusals are the kinds that a server's plain "no" may have, whatever it is about.
// None says that something is not there, or is there.
var refusals = []remote.Kind{remote.Timeout, remote.Down, remote.Temporary, remote.Protocol,
	remote.ShortWrite, remote.Unknown, remote.Permission, remote.Unsupported, remote.NoSpace, remote.NoReplace}

func announce(text string) func(io.Writer) {
	return func(w io.Writer) { io.WriteString(w, text) }
}

// misdeeds of a server whose network timeout is short, as the client sees it. never
// is a channel that nobody closes before the fault is lifted.
func misdeeds(never <-chan struct{}) []misdeed {
	return []misdeed{
		{name: "reset before it", rule: ftpscript.Rule{Drop: true}},
		{name: "reset after it", rule: ftpscript.Rule{Hangup: true}},
		{name: "reply cut, closed", rule: ftpscript.Rule{Speak: ftpscript.Cut(2)}},
		{name: "line cut, closed", rule: ftpscript.Rule{Speak: ftpscript.Cut(6)}},
		{name: "421 instead", rule: ftpscript.Rule{Instead: "421 Going down."}},
		{name: "421 after it", rule: ftpscript.Rule{Final: "421 Going down."}},
		{name: "421 before the reply", rule: ftpscript.Rule{Before: "421 Going down."}},
		{name: "reply twice", rule: ftpscript.Rule{Speak: ftpscript.Twice}},
		{name: "a late 226 first", rule: ftpscript.Rule{Before: "226 Transfer complete."}},
		{name: "a stray 200 after", rule: ftpscript.Rule{Speak: func(w io.Writer, reply string) bool { return ftpscript.Raw(reply+"200 By the way.\r\n")(w, "") }}},
		{name: "no reply at all", stalls: true, rule: ftpscript.Rule{Swallow: true}},
		{name: "stuck before it", stalls: true, rule: ftpscript.Rule{Hold: never}},
		{name: "stuck within the reply", stalls: true, rule: ftpscript.Rule{Speak: ftpscript.Part(5)}},
		{name: "reply without a line end", stalls: true, rule: ftpscript.Rule{Speak: func(w io.Writer, reply string) bool { return ftpscript.Part(len(reply)-2)(w, reply) }}},
		{name: "reply drips", stalls: true, rule: ftpscript.Rule{Speak: ftpscript.Drip(100 * time.Millisecond)}},
		{name: "lines between that never end", stalls: true, rule: ftpscript.Rule{Speak: ftpscript.Raw("250-And\r\n so\r\n on\r\n")}},
		{name: "late", rule: ftpscript.Rule{Delay: 20 * time.Millisecond}, harmless: true},
		{name: "garbage", rule: ftpscript.Rule{Speak: ftpscript.Raw("\x00\xff\x80 what?\r\n")}},
		{name: "a page of HTML", rule: ftpscript.Rule{Speak: ftpscript.Raw("<html><body>Log in to the hotel's network</body></html>\r\n")}},
		{name: "a line of 1 MB", rule: ftpscript.Rule{Speak: ftpscript.Endless("250 ", "x")}},
		{name: "lines without end", rule: ftpscript.Rule{Speak: ftpscript.Endless("250-", "on and on\r\n")}},
		{name: "preliminary replies without end", rule: ftpscript.Rule{Speak: ftpscript.Endless("150 Soon.\r\n", "150 Soon.\r\n")}},
		{name: "450 instead", rule: ftpscript.Rule{Instead: "450 Busy."}, refuses: true},
		{name: "451 instead", rule: ftpscript.Rule{Instead: "451 Local error."}, refuses: true},
		{name: "452 instead", rule: ftpscript.Rule{Instead: "452 Insufficient storage space."}, refuses: true},
		{name: "552 instead", rule: ftpscript.Rule{Instead: "552 Quota exceeded."}, refuses: true},
		{name: "500 instead", rule: ftpscript.Rule{Instead: "500 Unknown command."}, refuses: true},
		{name: "502 instead", rule: ftpscript.Rule{Instead: "502 Not implemented."}, refuses: true},
		{name: "550 without a reason", rule: ftpscript.Rule{Instead: "550 Requested action not taken."}, refuses: true},
		{name: "a success that is not meant", rule: ftpscript.Rule{Instead: "200 Certainly."}, lies: true},

		{name: "data reset at once", data: true, rule: ftpscript.Rule{Data: &ftpscript.DataFault{Reset: true}}},
		{name: "data reset in the middle", data: true, rule: ftpscript.Rule{Data: &ftpscript.DataFault{After: 1000, Reset: true}}},
		{name: "data reset, 226", data: true, rule: ftpscript.Rule{Data: &ftpscript.DataFault{After: 1000, Reset: true, Reply: "226 Transfer complete."}}},
		{name: "data closed, 426", data: true, rule: ftpscript.Rule{Data: &ftpscript.DataFault{After: 1000}}},
		{name: "data closed, 226", data: true, rule: ftpscript.Rule{Data: &ftpscript.DataFault{After: 1000, Reply: "226 Transfer complete."}}},
		{name: "data closed in a line, 226", data: true, rule: ftpscript.Rule{Data: &ftpscript.DataFault{After: 1003, Reply: "226 Transfer complete."}}},
		{name: "nothing, 226", data: true, rule: ftpscript.Rule{Data: &ftpscript.DataFault{Reply: "226 Transfer complete."}}},
		{name: "data closed, 451", data: true, rule: ftpscript.Rule{Data: &ftpscript.DataFault{After: 1000, Reply: "451 Disk failed."}}},
		{name: "452 in the middle", data: true, rule: ftpscript.Rule{Data: &ftpscript.DataFault{After: 1000, Reply: "452 Disk full."}}, refuses: true},
		{name: "552 in the middle", data: true, rule: ftpscript.Rule{Data: &ftpscript.DataFault{After: 1000, Reply: "552 Quota exceeded."}}, refuses: true},
		{name: "all, then 451", data: true, rule: ftpscript.Rule{Final: "451 Disk failed."}},
		{name: "data stuck at once", data: true, stalls: true, rule: ftpscript.Rule{Data: &ftpscript.DataFault{Hold: never}}},
		{name: "data stuck in the middle", data: true, stalls: true, rule: ftpscript.Rule{Data: &ftpscript.DataFault{After: 1000, Hold: never}}},
		{name: "data stuck, control lost", data: true, rule: ftpscript.Rule{Data: &ftpscript.DataFault{After: 1000, Reset: true}, Hangup: true}},
		{name: "announced twice", data: true, rule: ftpscript.Rule{Data: &ftpscript.DataFault{After: -1, Announce: announce("150 Soon.\r\n150 Now.\r\n")}}, harmless: true},
		{name: "never announced", data: true, stalls: true, rule: ftpscript.Rule{Data: &ftpscript.DataFault{After: -1, Announce: announce("")}}},
		{name: "more than there is", data: true, rule: ftpscript.Rule{Data: &ftpscript.DataFault{After: -1, Flood: "more and more\r\n"}}, kinds: []remote.Kind{remote.Changed}},
		{name: "late by much", stalls: true, rule: ftpscript.Rule{Delay: 5 * cellTimeout}},
	}
}
