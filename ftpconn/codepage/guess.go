package codepage

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// likely are the pages that Guess tries, those of more speakers first: of two that fit
// alike the first is named.
var likely = []string{"cp1252", "cp1251", "gbk", "shift_jis", "euc-kr", "big5", "cp866", "koi8-r", "cp850", "cp1250"}

// sample is how many names a guess is made from.
const sample = 200

// Guess names the page in which names that are not UTF-8 read best, "" if none reads well.
// It is for a hint to a person, who sees whether it is right.
func Guess(names []string) string {
	best, most := "", 0.0
	for _, page := range likely {
		p, err := Find(page)
		if err != nil {
			continue
		}
		if mark := p.reads(names[:min(len(names), sample)]); mark > most {
			best, most = page, mark
		}
	}
	return best
}

// reads marks how well names read: by letters of one script, in words that begin with a
// capital or have none; from 1, as text is, down to nothing.
func (p *Page) reads(names []string) float64 {
	good, all := 0.0, 0.0
	for _, name := range names {
		text, ok := p.whole(name)
		if !ok {
			return 0
		}
		var before rune
		for _, r := range text {
			if r >= utf8.RuneSelf {
				all++
				good += mark(before, r)
			}
			before = r
		}
	}
	if all == 0 || good < 0.6*all {
		return 0
	}
	return good / all
}

// common are characters of Chinese that make up much of any text.
const common = "的一是不了在人有我他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可里后小文件新建目录图片照音乐电影视频资料工作公司报告合同第三月日"

func mark(before, r rune) float64 {
	switch {
	case r >= 0x1100 && unicode.IsLetter(before) && before < 0x1100: // a script of the east in the middle of a word
		return 0.1
	case strings.ContainsRune(common, r):
		return 1
	case unicode.In(r, unicode.Hiragana, unicode.Katakana, unicode.Hangul) && r < 0xff00:
		return 1
	case unicode.Is(unicode.Han, r):
		return 0.8
	case !unicode.IsLetter(r):
		return 0
	case unicode.IsLetter(before) && unicode.IsUpper(r) && unicode.IsLower(before):
		return 0.1
	case unicode.IsLetter(before) && unicode.Is(unicode.Cyrillic, r) != unicode.Is(unicode.Cyrillic, before):
		return 0.1
	case before >= utf8.RuneSelf && unicode.Is(unicode.Latin, r) && unicode.IsLetter(before):
		return 0.2 // one accent rarely follows another
	case unicode.IsLower(r):
		return 1
	}
	return 0.8
}
