package codepage

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// pages are those that leave ASCII alone. The first name is the one that is shown.
var pages = []struct {
	names []string
	enc   encoding.Encoding
}{
	{[]string{"cp437", "437"}, charmap.CodePage437},
	{[]string{"cp850", "850"}, charmap.CodePage850},
	{[]string{"cp852", "852"}, charmap.CodePage852},
	{[]string{"cp855", "855"}, charmap.CodePage855},
	{[]string{"cp858", "858", "cp00858"}, charmap.CodePage858},
	{[]string{"cp860", "860"}, charmap.CodePage860},
	{[]string{"cp862", "862"}, charmap.CodePage862},
	{[]string{"cp863", "863"}, charmap.CodePage863},
	{[]string{"cp865", "865"}, charmap.CodePage865},
	{[]string{"cp866", "866"}, charmap.CodePage866},
	{[]string{"cp874", "874"}, charmap.Windows874},
	{[]string{"cp1250", "1250"}, charmap.Windows1250},
	{[]string{"cp1251", "1251"}, charmap.Windows1251},
	{[]string{"cp1252", "1252"}, charmap.Windows1252},
	{[]string{"cp1253", "1253"}, charmap.Windows1253},
	{[]string{"cp1254", "1254"}, charmap.Windows1254},
	{[]string{"cp1255", "1255"}, charmap.Windows1255},
	{[]string{"cp1256", "1256"}, charmap.Windows1256},
	{[]string{"cp1257", "1257"}, charmap.Windows1257},
	{[]string{"cp1258", "1258"}, charmap.Windows1258},
	{[]string{"iso-8859-1", "latin1", "l1"}, charmap.ISO8859_1},
	{[]string{"iso-8859-2", "latin2", "l2"}, charmap.ISO8859_2},
	{[]string{"iso-8859-3", "latin3", "l3"}, charmap.ISO8859_3},
	{[]string{"iso-8859-4", "latin4", "l4"}, charmap.ISO8859_4},
	{[]string{"iso-8859-5", "cyrillic"}, charmap.ISO8859_5},
	{[]string{"iso-8859-6", "arabic"}, charmap.ISO8859_6},
	{[]string{"iso-8859-7", "greek"}, charmap.ISO8859_7},
	{[]string{"iso-8859-8", "hebrew"}, charmap.ISO8859_8},
	{[]string{"iso-8859-9", "latin5", "l5"}, charmap.ISO8859_9},
	{[]string{"iso-8859-10", "latin6", "l6"}, charmap.ISO8859_10},
	{[]string{"iso-8859-13", "latin7"}, charmap.ISO8859_13},
	{[]string{"iso-8859-14", "latin8"}, charmap.ISO8859_14},
	{[]string{"iso-8859-15", "latin9"}, charmap.ISO8859_15},
	{[]string{"iso-8859-16", "latin10"}, charmap.ISO8859_16},
	{[]string{"koi8-r"}, charmap.KOI8R},
	{[]string{"koi8-u"}, charmap.KOI8U},
	{[]string{"macintosh", "macroman", "mac"}, charmap.Macintosh},
	{[]string{"x-mac-cyrillic", "maccyrillic"}, charmap.MacintoshCyrillic},
	{[]string{"gbk", "cp936", "936", "gb2312", "euccn"}, simplifiedchinese.GBK},
	{[]string{"gb18030"}, simplifiedchinese.GB18030},
	{[]string{"big5", "cp950", "950", "big5hkscs"}, traditionalchinese.Big5},
	{[]string{"shift_jis", "sjis", "cp932", "932", "cp31j", "mskanji"}, japanese.ShiftJIS},
	{[]string{"euc-jp", "ujis"}, japanese.EUCJP},
	{[]string{"euc-kr", "cp949", "949", "uhc", "ksc5601"}, korean.EUCKR},
}

// key is a name without what people write in different ways.
func key(name string) string {
	k := strings.NewReplacer("-", "", "_", "", " ", "", ".", "").Replace(strings.ToLower(name))
	for _, other := range []string{"windows", "win", "ibm", "dos", "ms", "x"} {
		if rest, ok := strings.CutPrefix(k, other); ok && rest != "" && rest[0] >= '0' && rest[0] <= '9' {
			return "cp" + rest
		}
	}
	return k
}

// IsUTF8 says that name is one of UTF-8's.
func IsUTF8(name string) bool { return key(name) == "utf8" }

// Find returns the page of that name, in any of the spellings in use. The error names
// the nearest one.
func Find(name string) (*Page, error) {
	k := key(name)
	best, distance := "", len(k)/2+1
	for _, p := range pages {
		for _, n := range p.names {
			if key(n) == k {
				return &Page{p.names[0], p.enc}, nil
			}
			if d := levenshtein.ComputeDistance(k, key(n)); d < distance {
				best, distance = p.names[0], d
			}
		}
	}
	if best == "" {
		return nil, fmt.Errorf("%q is no code page that ftpfs knows; there are %s", name, strings.Join(Names(), ", "))
	}
	return nil, fmt.Errorf("%q is no code page that ftpfs knows; did you mean %s?", name, best)
}

// Names of all pages, sorted.
func Names() []string {
	var all []string
	for _, p := range pages {
		all = append(all, p.names[0])
	}
	slices.Sort(all)
	return all
}
