package codepage

import "testing"

func TestGuess(t *testing.T) {
	for page, names := range map[string][]string{
		"cp1252":    {"Übersicht Größe.txt", "déjà vu", "Präsentation.pdf"},
		"cp1251":    {"Привет.txt", "Новая папка", "отчёт за май"},
		"cp866":     {"Привет.txt", "Новая папка", "отчёт за май"},
		"koi8-r":    {"Привет.txt", "Новая папка", "отчёт за май"},
		"gbk":       {"新建文件夹", "公司报告.doc", "照片"},
		"shift_jis": {"新しいフォルダー", "テスト.txt", "表"},
		"euc-kr":    {"새 폴더", "사진.jpg", "안녕하세요"},
		"cp850":     {"Übersicht Größe.txt", "Präsentation.pdf", "für später"},
	} {
		p := find(t, page)
		var there []string
		for _, n := range names {
			s, err := p.Encode(n)
			if err != nil {
				t.Fatal(err)
			}
			there = append(there, s)
		}
		if got := Guess(there); got != page {
			t.Errorf("%q in %s is taken for %q", names, page, got)
		}
	}
	if got := Guess([]string{"\xa6\xb1\xa4\x80", "\xa9\xff\xb6"}); got != "" {
		t.Errorf("noise is taken for %s", got)
	}
}
