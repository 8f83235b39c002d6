package sip

import (
	"testing"

	"github.com/emiago/sipgo/sip"
)

func numbered(method sip.RequestMethod, cseq uint32, branch string) *sip.Request {
	req := sip.NewRequest(method, sip.Uri{Scheme: "sip", Host: "lo.test"})
	req.AppendHeader(&sip.ViaHeader{Host: "lo.test", Params: sip.HeaderParams{{K: "branch", V: branch}}})
	req.AppendHeader(&sip.CSeqHeader{SeqNo: cseq, MethodName: method})
	return req
}

// On a busy machine two copies of a request are read before either has a transaction,
// and the copy's may be made first: the request must be opened all the same, once.
func TestInboxTakesTheTransactionOfACopy(t *testing.T) {
	opened := 0
	b := inbox{open: func(*letter) { opened++ }}
	b.begin(1)
	first := b.take(numbered(sip.INVITE, 2, "z9hG4bKa"), 2)
	copied := b.take(numbered(sip.INVITE, 2, "z9hG4bKa"), 2)
	if first == nil || copied != first {
		t.Fatalf("%v, and for its copy %v", first, copied)
	}
	for _, other := range []*sip.Request{numbered(sip.INVITE, 2, "z9hG4bKb"), numbered(sip.UPDATE, 2, "z9hG4bKa"), numbered(sip.INVITE, 1, "z9hG4bKa")} {
		if m := b.take(other, other.CSeq().SeqNo); m != nil {
			t.Errorf("%s %d has the place of another", other.Method, other.CSeq().SeqNo)
		}
	}
	if !b.arrived(copied, copied.req, new(sip.ServerTx)) || opened != 1 {
		t.Fatalf("opened %d times", opened)
	}
	if m := b.take(numbered(sip.INVITE, 2, "z9hG4bKa"), 2); m != nil {
		t.Error("a copy of what has been opened has a place")
	}
}
