package rtp

import "github.com/zaf/g711"

// A byte that sounds like nothing, in either law.
const (
	silencePCMA = 0xD5
	silencePCMU = 0xFF
)

// lawTable maps each byte of one G.711 law to its nearest neighbour in the
// other. It is filled once and only read afterwards.
type lawTable [256]byte

var (
	toPCMU = fillTable(g711.Alaw2UlawFrame)
	toPCMA = fillTable(g711.Ulaw2AlawFrame)
)

func fillTable(convert func(uint8) uint8) *lawTable {
	var t lawTable
	for i := range t {
		t[i] = convert(uint8(i))
	}
	return &t
}

// translate writes src, which is in the other law, into dst in the law to.
func translate(dst, src []byte, to Codec) {
	table := toPCMA
	if to == PCMU {
		table = toPCMU
	}
	dst = dst[:len(src)]
	for i, b := range src {
		dst[i] = table[b]
	}
}

func silence(c Codec) byte {
	if c == PCMU {
		return silencePCMU
	}
	return silencePCMA
}
