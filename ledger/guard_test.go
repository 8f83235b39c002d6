package ledger

import "testing"

// breaking is a row that cannot be encoded in the worst way.
type breaking struct{ CDR }

func (*breaking) values() ([]any, error) { panic("a test broke this row") }

func TestARowThatBreaksIsLeftOut(t *testing.T) {
	t.Parallel()
	s := open(t, inFile(t))
	s.put([]kept{&breaking{sample(1)}})
	s.Put(sample(2))
	flush(t, s)
	if _, err := s.Get(t.Context(), sample(2).ID); err != nil {
		t.Error(err)
	}
	if st := s.Status(); st.Faults != 1 || st.Lost != 1 || st.Written != 1 || st.Err != nil {
		t.Errorf("%+v", st)
	}
}
